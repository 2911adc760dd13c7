//go:build !linux

package chdb

// keepMask runs f; only on Linux the engine is known to change the mask.
func keepMask(f func()) { f() }
