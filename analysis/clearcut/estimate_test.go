package clearcut

import "testing"

// Sets that agree by chance are no proof that all would.
func TestSetsThatAgreeSayNothingOfOthers(t *testing.T) {
	if e := measured([]float64{1, 1, 1}, "u"); e.Lower != 1 || e.Upper != 1 || len(e.Warnings) != 1 {
		t.Errorf("%+v", e)
	}
	if e := measured([]float64{0.9, 1, 0.95}, "u"); e.Lower >= 0.9 || len(e.Warnings) != 0 {
		t.Errorf("%+v", e)
	}
}
