package errs

import (
	"errors"
	"strings"
	"testing"
)

var errRefused = errors.New("refused")

func act() error { return errRefused }

func TestRefusals(t *testing.T) {
	if err := act(); err == nil { // want `any error passes this test`
		t.Error("accepted")
	}
	if err := act(); err == nil { // want `any error passes this test`
		t.Error("accepted")
	} else {
		t.Log("refused")
	}
	if err := act(); err == nil {
		t.Error("accepted")
	} else if !strings.Contains(err.Error(), "refused") {
		t.Error(err)
	}
	if err := act(); !errors.Is(err, errRefused) {
		t.Error(err)
	}
	if err := act(); err == nil {
		t.Log("it has time")
	}
	if err := act(); err == nil { // a condition of what follows
		if err := act(); !errors.Is(err, errRefused) {
			t.Error(err)
		}
	}
	err := act()
	if err == nil {
		t.Fatal("accepted")
	}
	if !errors.Is(err, errRefused) {
		t.Error(err)
	}
}
