package chdb

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// takeStdin puts /dev/null in the place of standard input, for good. The engine
// believes that it runs as a client on a command line: it adds whatever stands
// in standard input to the rows of an INSERT, and its table functions read it.
// Nothing may read what belongs to the process, so it goes before the library
// is there. Canopy itself reads it only through a path such as /dev/stdin, and
// before it opens a store.
func takeStdin() error {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return fmt.Errorf("keep standard input from the engine: %w", err)
	}
	defer null.Close() //nolint:errcheck // it was only read
	if err := unix.Dup2(int(null.Fd()), 0); err != nil {
		return fmt.Errorf("keep standard input from the engine: %w", err)
	}
	return nil
}
