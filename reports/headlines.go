package reports

// Headlines are the answers in one sentence each, a network each, for a
// terminal.
func (r *Report) Headlines() []string {
	var lines []string
	for _, n := range r.Networks {
		line := legible(n.Title) + ": " + n.headline()
		if n.Synthetic() {
			line += " (synthetic)"
		}
		lines = append(lines, line)
	}
	return lines
}
