package shares

// ByGroups counts the cell of headlines from groups of reachable peers, of
// which none is left out. class is a group's place in classes.
func ByGroups(groups []Group, classes []string, class func(group int) int) (Cell, error) {
	s, err := NewSample("reachable peers", groups)
	if err != nil {
		return Cell{}, err
	}
	cell := Cell{Over: Mean, Per: "peer", Of: Reachable, Units: s.Peers()}
	for c, name := range classes {
		cell.Classes = append(cell.Classes, ClassShare{name, s.Share(func(i int) bool { return class(i) == c })})
	}
	return cell, nil
}
