// Package process starts the child processes of a sandbox.
package process

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"tailwatch.dev/sandbox/world/sandbox"
)

// Set starts children that end with this process: on Linux the kernel kills them with the thread that started them, so one
// thread starts them all.
type Set struct {
	requests chan func()
	// children holds each *process that has not ended.
	children sync.Map
}

func NewSet() *Set {
	p := &Set{requests: make(chan func())}
	go func() {
		runtime.LockOSThread()
		for request := range p.requests {
			request()
		}
	}()
	return p
}

// collectRarely saves a fifth of the CPU time of an API server and costs 200 MiB of memory.
const collectRarely = "GOGC=400"

// Process is one child; its output goes to log/NAME.log.
type Process struct {
	name  string
	cmd   *exec.Cmd
	ended chan struct{}
	mutex sync.Mutex
	err   error
}

func (p *Set) Start(s *sandbox.Sandbox, name, program string, arguments, environment []string) (*Process, error) {
	log, err := os.OpenFile(s.Path("log", name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(program, arguments...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = s.Dir
	cmd.Env = append([]string{"HOME=" + s.Dir, "PATH=/usr/bin:/bin", "TMPDIR=" + s.Dir, collectRarely}, environment...)
	cmd.SysProcAttr = childAttributes()
	started := make(chan error)
	p.requests <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	child := &Process{name: name, cmd: cmd, ended: make(chan struct{})}
	p.children.Store(child, nil)
	go func() {
		err := cmd.Wait()
		p.children.Delete(child)
		child.mutex.Lock()
		child.err = err
		child.mutex.Unlock()
		close(child.ended)
	}()
	return child, nil
}

// Kill kills all children.
func (p *Set) Kill() {
	p.children.Range(func(child, _ any) bool {
		_ = child.(*Process).cmd.Process.Kill()
		return true
	})
	p.children.Range(func(child, _ any) bool {
		<-child.(*Process).ended
		return true
	})
}

func (p *Process) Running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// Stop sends SIGTERM, and SIGKILL after 4 s.
func (p *Process) Stop() {
	if !p.Running() {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(4 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

func (p *Process) Signal(signal syscall.Signal) {
	if p.Running() {
		_ = p.cmd.Process.Signal(signal)
	}
}

func (p *Process) String() string {
	if p.Running() {
		return fmt.Sprintf("pid %d", p.cmd.Process.Pid)
	}
	return "not running"
}
