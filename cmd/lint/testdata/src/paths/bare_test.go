package paths

//lint:file-ignore fixedpath

import "testing"

func TestBare(t *testing.T) { _ = "/home/alice/mine.csv" } // want `fixed path`
