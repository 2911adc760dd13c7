package dataset

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"strconv"
	"testing"
	"time"
)

type logged struct{ readable }

func (r logged) QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	w, c := time.Now(), cpuSeconds()
	rows, err := r.readable.QueryContext(ctx, q, args...)
	one := strings.Join(strings.Fields(q), " ")
	fmt.Printf("Q %6.2f s %6.2f CPU s %.150s\n", time.Since(w).Seconds(), cpuSeconds()-c, one)
	return rows, err
}

func (r logged) Stream(ctx context.Context, q string, each func([]any) error) error {
	if strings.Contains(q, "AND number >=") {
		return r.readable.Stream(ctx, q, each)
	}
	w, c := time.Now(), cpuSeconds()
	g := 0.0
	err := r.readable.Stream(ctx, q, func(x []any) error { c := cpuSeconds(); err := each(x); g += cpuSeconds() - c; return err })
	one := strings.Join(strings.Fields(q), " ")
	fmt.Printf("S %6.2f s %6.2f CPU s (each %5.2f) %.150s\n", time.Since(w).Seconds(), cpuSeconds()-c, g, one)
	return err
}

func TestZZProf(t *testing.T) {
	if os.Getenv("ZZ") == "" {
		t.Skip()
	}
	n, _ := strconv.Atoi(os.Getenv("ZZ"))
	s := openStore(t)
	fill(t, s, "alpha", 30, n)
	var last float64
	w := time.Now()
	last = cpuSeconds()
	_, err := Export(t.Context(), logged{readFrom(s)}, filepath.Join(t.TempDir(), "x"), Options{Progress: func(p Progress) {
		if p.Of == 0 || p.Parts == p.Of || p.Parts == 1 {
			fmt.Printf("P %6.1f s %6.1f CPU s until %s %d %d\n", time.Since(w).Seconds(), cpuSeconds()-last, p.Table, p.Rows, p.Parts)
		}
	}})
	must(t, err)
}
