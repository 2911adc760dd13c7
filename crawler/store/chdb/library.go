package chdb

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"

	"canopy/crawler/installation"
)

// EnvLibrary names the environment variable that points at libchdb itself.
const EnvLibrary = "CANOPY_CHDB_LIB"

// ErrNoLibrary means that libchdb is not installed; the text around it says
// how to get it.
var ErrNoLibrary = errors.New("libchdb, the embedded ClickHouse engine, was not found")

// Find returns the path of libchdb: what CANOPY_CHDB_LIB names, else the copy
// that `make engine` installs in .engine beside the executable (see package
// installation), else one in the system's library folders. Never one in the
// working folder: it is code, and would run.
func Find() (string, error) {
	if path := os.Getenv(EnvLibrary); path != "" {
		if !isFile(path) {
			return "", fmt.Errorf("%w: %s is %q, which is no file: correct it, or unset it and run `make engine`", ErrNoLibrary, EnvLibrary, path)
		}
		return filepath.Abs(path)
	}
	dirs, err := searchPath()
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoLibrary, err)
	}
	for _, dir := range dirs {
		for _, name := range []string{"libchdb.so", "libchdb.dylib"} {
			if path := filepath.Join(dir, name); isFile(path) {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("%w beside this program: run `make build engine` in Canopy's folder and use bin/canopy there, or set %s to the path of libchdb.so (or use a ClickHouse server as store)", ErrNoLibrary, EnvLibrary)
}

func searchPath() ([]string, error) {
	var dirs []string
	if pkg := npmPackage(); pkg != "" {
		engine, err := installation.Beside(".engine")
		if err != nil {
			return nil, err
		}
		if engine != "" {
			dirs = append(dirs, filepath.Join(engine, "node_modules", "@chdb", pkg))
		}
	}
	return append(dirs, "/usr/local/lib", "/opt/homebrew/lib", "/usr/lib64", "/usr/lib"), nil
}

// npmPackage is the name under which npm ships libchdb for this platform,
// empty where there is none.
func npmPackage() string {
	switch runtime.GOOS + "/" + runtime.GOARCH {
	case "linux/amd64":
		return "lib-linux-x64-gnu"
	case "linux/arm64":
		return "lib-linux-arm64-gnu"
	case "darwin/arm64":
		return "lib-darwin-arm64"
	}
	return ""
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// library holds the C functions of libchdb that are used here, as its header
// chdb.h declares them. Pointers that C owns stay unsafe.Pointer.
type library struct {
	connect      func(argc int32, argv unsafe.Pointer) *unsafe.Pointer
	closeConn    func(conn *unsafe.Pointer)
	query        func(conn unsafe.Pointer, q unsafe.Pointer, qlen uintptr, format unsafe.Pointer, flen uintptr) unsafe.Pointer
	queryParams  func(conn unsafe.Pointer, q unsafe.Pointer, qlen uintptr, format unsafe.Pointer, flen uintptr, names, nameLens, values, valueLens unsafe.Pointer, n uintptr) unsafe.Pointer
	destroy      func(result unsafe.Pointer)
	buffer       func(result unsafe.Pointer) unsafe.Pointer
	length       func(result unsafe.Pointer) uintptr
	err          func(result unsafe.Pointer) string
	insert       func(conn unsafe.Pointer, q unsafe.Pointer, qlen uintptr, format unsafe.Pointer, flen uintptr) unsafe.Pointer
	insertErr    func(stream unsafe.Pointer) string
	insertAppend func(stream unsafe.Pointer, data unsafe.Pointer, n uintptr) int32
	insertDone   func(stream unsafe.Pointer) unsafe.Pointer
	insertCancel func(stream unsafe.Pointer)
	insertFree   func(stream unsafe.Pointer)
	setSignals   func(enabled int32)
}

var (
	loadMutex sync.Mutex
	loaded    *library
)

// load opens libchdb once; it is never unloaded.
func load() (*library, error) {
	loadMutex.Lock()
	defer loadMutex.Unlock()
	if loaded != nil {
		return loaded, nil
	}
	path, err := Find()
	if err != nil {
		return nil, err
	}
	if err := takeStdin(); err != nil {
		return nil, err
	}
	lib := new(library)
	keepMask(func() { err = lib.open(path) })
	if err != nil {
		return nil, fmt.Errorf("load %s: %w (reinstall it with `make engine`)", path, err)
	}
	loaded = lib
	return lib, nil
}

func (l *library) open(path string) error {
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return err
	}
	if err := l.bind(handle); err != nil {
		return err
	}
	l.setSignals(0) // before the first connection: Go needs its handlers of fatal signals
	return nil
}

func (l *library) bind(handle uintptr) error {
	for name, fn := range map[string]any{
		"chdb_connect": &l.connect, "chdb_close_conn": &l.closeConn,
		"chdb_query_n": &l.query, "chdb_query_with_params_n": &l.queryParams,
		"chdb_destroy_query_result": &l.destroy, "chdb_result_buffer": &l.buffer,
		"chdb_result_length": &l.length, "chdb_result_error": &l.err,
		"chdb_stream_insert_n": &l.insert, "chdb_stream_insert_error": &l.insertErr,
		"chdb_stream_append": &l.insertAppend, "chdb_stream_done": &l.insertDone,
		"chdb_stream_cancel_insert": &l.insertCancel, "chdb_destroy_insert_stream": &l.insertFree,
		"chdb_set_signal_handlers_enabled": &l.setSignals,
	} {
		symbol, err := purego.Dlsym(handle, name)
		if err != nil {
			return fmt.Errorf("this libchdb lacks %s: %w", name, err)
		}
		purego.RegisterFunc(fn, symbol)
	}
	return nil
}
