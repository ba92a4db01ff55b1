// Package osspecific: signals and children on Linux, which the module v4.0.5 leaves out.
package osspecific

import (
	"errors"
	"os"
	"syscall"

	exits "github.com/argoproj/argo-workflows/v4/util/errors"
)

// Term asks a process to end.
var Term = syscall.SIGTERM

// CanIgnoreSignal tells whether a signal is no wish of somebody's: a child ended, or Go's scheduler is at work.
func CanIgnoreSignal(received os.Signal) bool {
	return received == syscall.SIGCHLD || received == syscall.SIGURG
}

// Kill sends a signal to the group of a process, or to the process alone if it has none.
func Kill(pid int, signal syscall.Signal) error {
	group, err := syscall.Getpgid(pid)
	if err != nil {
		return syscall.Kill(pid, signal)
	}
	return syscall.Kill(-group, signal)
}

// Setpgid has a process start a group of its own.
func Setpgid(attributes *syscall.SysProcAttr) {
	attributes.Setpgid = true
}

// Wait reaps children until a process has ended, and returns its exit status as an error.
func Wait(process *os.Process) error {
	wanted := process.Pid
	if err := process.Release(); err != nil {
		return err
	}
	for {
		var status syscall.WaitStatus
		ended, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR) || ended != wanted && err == nil:
		case err != nil:
			return err
		case status.Signaled():
			return exits.NewExitErr(128 + int(status.Signal()))
		case status.Exited():
			return exits.NewExitErr(status.ExitStatus())
		}
	}
}
