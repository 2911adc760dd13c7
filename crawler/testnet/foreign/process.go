//go:build linux

package foreign

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
)

// processes runs child processes, each in a folder and a process group of its
// own, and ends them all.
type processes struct {
	dir string // a folder for each child is made below it

	mu       sync.Mutex
	children []*process
}

var errExit = errors.New("exit status 0")

type process struct {
	name string
	dir  string
	cmd  *exec.Cmd
	done chan struct{}
	err  error // how it ended; valid when done is closed
}

// folder makes the folder of the child called name.
func (p *processes) folder(name string) (string, error) {
	dir := filepath.Join(p.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make folder of %s: %w", name, err)
	}
	return dir, nil
}

// start runs a program, until ctx ends, with its folder as HOME. What it prints
// goes to out, or to a file named log when out is nil, its errors always to that
// file.
func (p *processes) start(ctx context.Context, name string, out io.Writer, program string, args ...string) error {
	dir, err := p.folder(name)
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return fmt.Errorf("make log of %s: %w", name, err)
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "HOME="+dir, "TERM=dumb")
	cmd.Stderr, cmd.Stdout = log, out
	if out == nil {
		cmd.Stdout = log
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	child := &process{name: name, dir: dir, cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go child.run(started)
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.children = append(p.children, child)
	return nil
}

// run starts the child and waits for its end on one thread, for the kernel
// sends Pdeathsig when the thread ends that started a child.
func (c *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := c.cmd.Start()
	started <- err
	if err == nil {
		c.err = c.cmd.Wait()
	}
	close(c.done)
}

// ended returns an error that names the children that ended on their own.
func (p *processes) ended() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, c := range p.children {
		select {
		case <-c.done:
			errs = append(errs, fmt.Errorf("%s ended early: %w: %s", c.name, cmp.Or(c.err, errExit), c.lastWords()))
		default:
		}
	}
	return errors.Join(errs...)
}

// lastWords is the end of the child's log.
func (c *process) lastWords() string {
	const most = 600
	log, err := os.ReadFile(filepath.Join(c.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return strings.ToValidUTF8(string(bytes.TrimSpace(log[max(0, len(log)-most):])), "?")
}

// close kills every child with its process group and waits until they are gone.
// They have nothing to save, and a farewell would only take time.
func (p *processes) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.children {
		c.kill()
	}
	for _, c := range p.children {
		<-c.done
	}
	p.children = nil
}

func (c *process) kill() {
	select {
	case <-c.done: // the group's number may belong to somebody else by now
	default:
		_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL)
	}
}
