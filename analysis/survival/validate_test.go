package survival

import (
	"fmt"
	"testing"
	"time"

	"canopy/analysis/truth"
)

// Validation against planned watches; see truth.Env.
func TestValidate(t *testing.T) {
	runs := 2 * truth.Runs()
	if runs == 0 {
		t.Skip("set " + truth.Env + " to the number of runs")
	}
	p := plan{peers: 300, every: 5 * time.Minute, watch: 36 * time.Hour, scale: 3600, shape: 0.5, away: 7200}
	var rows []*truth.Row
	at := map[string]*truth.Row{}
	for seed := range runs {
		r, err := Compute(p.spells(uint64(seed)+100), Options{Watch: p.watch, Replicates: 100, Seed: uint64(seed)})
		if err != nil || r.Turnbull == nil {
			t.Fatal(err, r.Absent)
		}
		for i, c := range []*Curve{r.Turnbull, r.Kaplan, r.Created} {
			for _, q := range c.Quartiles {
				name := fmt.Sprintf("survival, quartile %.2f in s, %s", q.Share, []string{"Turnbull", "Kaplan-Meier", "create-based"}[i])
				row := at[name]
				if row == nil {
					row = &truth.Row{Quantity: name, Truth: p.quantile(q.Share, r.From)}
					at[name], rows = row, append(rows, row)
				}
				row.Add(q.Seconds)
			}
		}
	}
	for _, row := range rows {
		fmt.Println(row)
		if !row.Kept() {
			t.Errorf("coverage of %s: %.3f", row.Quantity, row.Coverage())
		}
	}
}
