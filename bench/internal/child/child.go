// Package child runs the systems under test as processes of their own, waits until they are
// ready, and says what they cost. A process is ended by its own id and never outlives the
// one that started it: Stop and Kill end it in order, and on Linux the kernel does if the
// bench is gone before it could.
package child

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Process is a running child.
type Process struct {
	cmd  *exec.Cmd
	log  *os.File
	done chan struct{} // closed when it has ended
	err  error         // how it ended; set before done is closed
}

// Usage is what a process took from start to end.
type Usage struct {
	CPU     time.Duration // user and system, all threads
	Written int64         // bytes sent towards the disk; -1 where the system does not tell
}

// Start runs the program at path with args. What it prints goes to the file log. Of the
// environment it gets only what it needs to find its way: settings that tune one system
// and not the other (GOGC, SIGPOST_…) stay out.
func Start(path string, args []string, log string) (*Process, error) {
	file, err := os.Create(log)
	if err != nil {
		return nil, fmt.Errorf("create the child's log: %w", err)
	}
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = file, file
	cmd.SysProcAttr = attributes()
	for _, name := range []string{"PATH", "HOME", "TMPDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", path, err), file.Close())
	}
	p := &Process{cmd: cmd, log: file, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// Ready waits until url answers 200. It fails when the process ends first, or limit passes.
func (p *Process) Ready(ctx context.Context, url string, limit time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s is not answered within %s", url, limit))
	defer cancel()
	// No connection is kept: an idle one would be in the way of a graceful stop.
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		if resp, err := client.Get(url); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended before it was ready (%w)%s", p.cmd.Path, p.ending(), p.tail())
		case <-ctx.Done():
			return fmt.Errorf("%w%s", context.Cause(ctx), p.tail())
		case <-poll.C:
		}
	}
}

// Wait waits until the process has ended by itself; that it failed is an error. When ctx
// ends first, the process is killed.
func (p *Process) Wait(ctx context.Context) error {
	defer p.Kill()
	select {
	case <-p.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if p.err != nil {
		return fmt.Errorf("%s failed (%w)%s", p.cmd.Path, p.err, p.tail())
	}
	return nil
}

// Stop asks the process to end (SIGTERM), waits for it, and says what it took. It is an
// error if the process had ended already, ends with a failure, or is not gone after limit;
// then it is killed.
func (p *Process) Stop(limit time.Duration) (Usage, error) {
	select {
	case <-p.done:
		return Usage{}, fmt.Errorf("%s ended by itself (%w)%s", p.cmd.Path, p.ending(), p.tail())
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.Kill()
		return Usage{}, fmt.Errorf("stop %s: %w", p.cmd.Path, err)
	}
	select {
	case <-p.done:
	case <-time.After(limit):
		tail := p.tail()
		p.Kill()
		return Usage{}, fmt.Errorf("%s had not stopped %s after SIGTERM and was killed%s", p.cmd.Path, limit, tail)
	}
	defer p.Kill()
	if p.err != nil {
		return Usage{}, fmt.Errorf("%s stopped badly (%w)%s", p.cmd.Path, p.err, p.tail())
	}
	return p.taken(), nil
}

// End is Kill, and says what the process took.
func (p *Process) End() Usage {
	p.Kill()
	return p.taken()
}

// taken is what the process took, which has ended.
func (p *Process) taken() Usage {
	state := p.cmd.ProcessState
	return Usage{CPU: state.UserTime() + state.SystemTime(), Written: written(state)}
}

// Kill ends the process, if it is still there, without ceremony. It may be called again.
func (p *Process) Kill() {
	select {
	case <-p.done:
	default:
		p.cmd.Process.Kill() //nolint:errcheck // it may end at this very moment
		<-p.done
	}
	p.log.Close()
}

// ending is how the process ended, never nil.
func (p *Process) ending() error {
	if p.err == nil {
		return errors.New("exit status 0")
	}
	return p.err
}

// tail is the end of what the process printed, for an error message.
func (p *Process) tail() string {
	const most = 2 << 10
	text, err := os.ReadFile(p.log.Name())
	if err != nil || len(bytes.TrimSpace(text)) == 0 {
		return "; it printed nothing"
	}
	text = bytes.TrimSpace(text)
	return "; the end of its output:\n" + string(text[max(0, len(text)-most):])
}
