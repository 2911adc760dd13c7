// Package installation finds what was installed together with the program: the
// embedded engine and the address tables. It looks beside the executable alone.
// The working folder, and those above it, may hold what other people made, such
// as a dataset that was downloaded: nothing there is loaded or believed.
package installation

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// Beside returns the folder called name that lies beside the executable: in its
// folder, or next to its folder where that is called bin. It returns "" where
// there is none. A folder that others may have put there is an error: one that
// belongs neither to root, nor to the user, nor to the owner of the executable,
// or that everyone may write.
func Beside(name string) (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the executable: %w", err)
	}
	if exe, err = filepath.EvalSymlinks(exe); err != nil {
		return "", fmt.Errorf("find the executable: %w", err)
	}
	program, err := os.Stat(exe)
	if err != nil {
		return "", fmt.Errorf("find the executable: %w", err)
	}
	dir := filepath.Dir(exe)
	places := []string{filepath.Join(dir, name)}
	if filepath.Base(dir) == "bin" {
		places = append(places, filepath.Join(filepath.Dir(dir), name))
	}
	for _, place := range places {
		info, err := os.Stat(place)
		if err != nil || !info.IsDir() {
			continue
		}
		if err := trust(place, info, program); err != nil {
			return "", err
		}
		return place, nil
	}
	return "", nil
}

// trust refuses a folder that others may have made or filled.
func trust(place string, info, program fs.FileInfo) error {
	if info.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("use %s: everyone may write there; take that right away with chmod o-w", place)
	}
	owner := uid(info)
	if !slices.Contains([]int{0, os.Geteuid(), uid(program)}, owner) {
		return fmt.Errorf("use %s: it belongs to user %d, who is neither you, nor root, nor the owner of the program", place, owner)
	}
	return nil
}

func uid(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}
