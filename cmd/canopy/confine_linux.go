package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"unsafe"

	seccomp "github.com/elastic/go-seccomp-bpf"
	sys "golang.org/x/sys/unix"
)

// Rights of Landlock, by the version of its interface that knows them.
const (
	readRights  = sys.LANDLOCK_ACCESS_FS_EXECUTE | sys.LANDLOCK_ACCESS_FS_READ_FILE | sys.LANDLOCK_ACCESS_FS_READ_DIR
	fileRights  = sys.LANDLOCK_ACCESS_FS_EXECUTE | sys.LANDLOCK_ACCESS_FS_READ_FILE | sys.LANDLOCK_ACCESS_FS_WRITE_FILE | sys.LANDLOCK_ACCESS_FS_TRUNCATE
	allRights1  = 1<<13 - 1
	writeRights = allRights1&^(sys.LANDLOCK_ACCESS_FS_EXECUTE|sys.LANDLOCK_ACCESS_FS_MAKE_CHAR|sys.LANDLOCK_ACCESS_FS_MAKE_BLOCK|
		sys.LANDLOCK_ACCESS_FS_MAKE_SOCK|sys.LANDLOCK_ACCESS_FS_MAKE_FIFO) | sys.LANDLOCK_ACCESS_FS_REFER | sys.LANDLOCK_ACCESS_FS_TRUNCATE
)

// needed are the parts of a system that the program and the engine read.
var needed = []string{"/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/localtime",
	"/proc/meminfo", "/proc/cpuinfo", "/proc/stat", "/proc/loadavg", "/sys/fs/cgroup", "/sys/devices/system", "/sys/kernel/mm/transparent_hugepage", "/dev/urandom"}

// dropFileRights takes from this thread, and the program that it may become,
// the right to reach other files than those of c, to open TCP ports and
// connections, and to send signals to others. It says which walls there are now.
func dropFileRights(c confinement) (walls, missing []string) {
	version, err := restrict(c)
	switch {
	case err != nil:
		return nil, []string{fmt.Sprintf("files (Landlock: %s)", err)}
	case version < 4:
		return []string{fmt.Sprintf("files (Landlock %d)", version)}, []string{fmt.Sprintf("TCP (Landlock %d is too old)", version)}
	case version < 6:
		return []string{fmt.Sprintf("files and TCP (Landlock %d)", version)}, nil
	}
	return []string{fmt.Sprintf("files, TCP and signals (Landlock %d)", version)}, nil
}

// restrict returns the version of Landlock.
func restrict(c confinement) (version int, err error) {
	v, _, errno := sys.Syscall(sys.SYS_LANDLOCK_CREATE_RULESET, 0, 0, sys.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0, errno
	}
	version = int(v)
	attr := sys.LandlockRulesetAttr{Handled_access_fs: handled(version)}
	if version >= 4 {
		attr.Handled_access_net = sys.LANDLOCK_ACCESS_NET_BIND_TCP | sys.LANDLOCK_ACCESS_NET_CONNECT_TCP
	}
	if version >= 6 {
		attr.Scoped = sys.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | sys.LANDLOCK_SCOPE_SIGNAL
	}
	const upToScoped = unsafe.Offsetof(attr.Scoped) + unsafe.Sizeof(attr.Scoped)
	rules, _, errno := sys.Syscall(sys.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), upToScoped, 0)
	if errno != 0 {
		return 0, errno
	}
	defer sys.Close(int(rules)) //nolint:errcheck // it has been applied, or not
	for _, path := range append(needed, c.read...) {
		if err := allow(int(rules), path, readRights&attr.Handled_access_fs); err != nil {
			return 0, err
		}
	}
	for _, path := range []string{c.write, "/dev/null"} {
		if err := allow(int(rules), path, writeRights&attr.Handled_access_fs); err != nil {
			return 0, err
		}
	}
	if err := sys.Prctl(sys.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("give up new rights: %w", err)
	}
	if _, _, errno := sys.Syscall(sys.SYS_LANDLOCK_RESTRICT_SELF, rules, 0, 0); errno != 0 {
		return 0, errno
	}
	return version, nil
}

// handled are the rights that a version of Landlock knows.
func handled(version int) (rights uint64) {
	rights = allRights1
	if version >= 2 {
		rights |= sys.LANDLOCK_ACCESS_FS_REFER
	}
	if version >= 3 {
		rights |= sys.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if version >= 5 {
		rights |= sys.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	return rights
}

// allow adds a path that may be missing.
func allow(rules int, path string, rights uint64) error {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		rights &= fileRights
	}
	fd, err := sys.Open(path, sys.O_PATH|sys.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer sys.Close(fd) //nolint:errcheck // nothing was written
	rule := sys.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	if _, _, errno := sys.Syscall6(sys.SYS_LANDLOCK_ADD_RULE, uintptr(rules), sys.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0); errno != 0 {
		return fmt.Errorf("allow %s: %w", path, errno)
	}
	return nil
}

// forbiddenCalls are those that reach beyond this process: the listener is
// there already, and a server starts no programs.
var forbiddenCalls = []string{
	"socket", "socketpair", "connect", "bind", "listen", "execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev",
	"kill", "pidfd_open", "pidfd_getfd", "pidfd_send_signal", "io_uring_setup", "io_uring_enter", "io_uring_register",
	"mount", "umount2", "pivot_root", "chroot", "unshare", "setns", "bpf", "keyctl", "add_key", "request_key",
	"open_by_handle_at", "init_module", "finit_module", "delete_module", "kexec_load", "reboot", "swapon", "swapoff", "setuid", "setgid",
}

// dropCallRights takes from all threads the right to open sockets, to start
// programs, and to reach other processes.
func dropCallRights() (walls, missing []string) {
	err := seccomp.LoadFilter(seccomp.Filter{
		NoNewPrivs: true, Flag: seccomp.FilterFlagTSync,
		Policy: seccomp.Policy{DefaultAction: seccomp.ActionAllow, Syscalls: []seccomp.SyscallGroup{{Names: forbiddenCalls, Action: seccomp.ActionErrno}}},
	})
	if err != nil {
		return nil, []string{fmt.Sprintf("sockets and programs (seccomp: %s)", err)}
	}
	return []string{"sockets and programs (seccomp)"}, nil
}
