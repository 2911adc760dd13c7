//go:build linux

package foreign

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// Space is the address space, IPv4 and IPv6, that is local inside a namespace,
// and Vantage the address from which a process speaks there unless it binds
// another.
const (
	Space    = "45.0.0.0/8"
	Space6   = "2a0d:45::/32"
	Vantage  = "45.199.0.1"
	Vantage6 = "2a0d:45:ffff::1"

	observer4 = "45.198.0.1"
	observer6 = "2a0d:45:fffe::1"
)

const insideVariable = "CANOPY_FOREIGN_NAMESPACE"

// setUp makes Space reachable over loopback, then becomes the command. IPv6 may
// be switched off, and binding any of its addresses forbidden; swarms do without
// it then.
var setUp = strings.Join([]string{
	"ip link set lo up",
	"ip addr add " + Vantage + "/32 dev lo",
	"ip route add local " + Space + " dev lo src " + Vantage,
	"{ ip -6 addr add " + Vantage6 + "/128 dev lo nodad",
	"ip -6 route add local " + Space6 + " dev lo src " + Vantage6,
	"echo 1 > /proc/sys/net/ipv6/ip_nonlocal_bind; } 2> /dev/null || true",
	`exec "$@"`,
}, "\n")

// Inside says whether this process was started by [Command].
func Inside() bool { return os.Getenv(insideVariable) != "" }

// Command returns a command that runs name in a fresh network namespace with no
// way out, in which [Space] is local. It needs root or unprivileged user
// namespaces. The command is killed when ctx ends.
func Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-ec", setUp, "sh", name}, args...)...)
	cmd.Env = append(os.Environ(), insideVariable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if uid := os.Geteuid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	return cmd
}

// canIPv6 says whether nodes can have IPv6 addresses here.
func canIPv6() bool {
	probe, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.ParseIP(observer6)})
	if err != nil {
		return false
	}
	probe.Close()
	return true
}

// CheckNamespace says what is missing for [Command] to work here.
func CheckNamespace(ctx context.Context) error {
	if _, err := exec.LookPath("ip"); err != nil {
		return fmt.Errorf("find ip: %w: install iproute2", err)
	}
	if out, err := Command(ctx, "true").CombinedOutput(); err != nil {
		return fmt.Errorf("make a network namespace: %w: %s: run as root or allow unprivileged user namespaces",
			err, strings.TrimSpace(string(out)))
	}
	return nil
}
