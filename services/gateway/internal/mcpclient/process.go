package mcpclient

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"time"
)

// inheritedVariables are what a tool server gets of this process's environment. Everything else, secrets above all, has to be declared.
var inheritedVariables = []string{"HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER"}

const (
	// politeWait is how long a server has to end after its input was closed, and again after it was told to.
	politeWait = 2 * time.Second
	// maxLogLine bounds a line of a server's standard error in our log.
	maxLogLine = 4096
)

// process is a running tool server.
type process struct {
	cmd    *exec.Cmd
	stdin  *os.File
	stdout *os.File
	stderr *os.File
	logged chan struct{} // closed when its standard error has been read to the end
	gone   chan struct{} // closed when it and what it started have ended
}

// startProcess starts a server. Its pipes are ours and not exec's, so that an answer it wrote before it ended can still be read.
func startProcess(server *Stdio, logger *slog.Logger) (*process, error) {
	p := &process{cmd: exec.CommandContext(context.Background(), server.Command, server.Args...), logged: make(chan struct{}), gone: make(chan struct{})}
	p.cmd.Dir = server.Dir
	p.cmd.Env = environment(server.Env)
	ownGroup(p.cmd)
	theirs, ours, err := openPipes()
	if err != nil {
		return nil, err
	}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = theirs[0], theirs[1], theirs[2]
	err = p.cmd.Start()
	closeAll(theirs[:])
	if err != nil {
		closeAll(ours[:])
		return nil, err
	}
	p.stdin, p.stdout, p.stderr = ours[0], ours[1], ours[2]
	go p.log(logger)
	go p.wait(logger)
	return p, nil
}

// openPipes makes the three standard streams, as the server and as we hold them.
func openPipes() (theirs, ours [3]*os.File, err error) {
	for i := range theirs {
		reader, writer, err := os.Pipe()
		if err != nil {
			closeAll(theirs[:])
			closeAll(ours[:])
			return theirs, ours, err
		}
		theirs[i], ours[i] = writer, reader
		if i == 0 {
			theirs[i], ours[i] = reader, writer
		}
	}
	return theirs, ours, nil
}

func closeAll(files []*os.File) {
	for _, file := range files {
		if file != nil {
			_ = file.Close()
		}
	}
}

func environment(declared map[string]string) []string {
	var variables []string
	for _, name := range inheritedVariables {
		if value, ok := os.LookupEnv(name); ok {
			variables = append(variables, name+"="+value)
		}
	}
	for name, value := range declared {
		variables = append(variables, name+"="+value)
	}
	return variables
}

// wait sees the process's end. Whatever it started is ended with it: a wrapper that dies alone would leave a server behind that can
// still act on what it has read.
func (p *process) wait(logger *slog.Logger) {
	err := p.cmd.Wait()
	p.signal(kill)
	// Something that left the group may hold the streams open for ever; what the server wrote is there already.
	time.AfterFunc(time.Second, func() { closeAll([]*os.File{p.stdout, p.stderr}) })
	logger.Info("the tool server's process has ended", "pid", p.cmd.Process.Pid, "status", endStatus(err))
	close(p.gone)
}

func endStatus(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

// log copies the server's standard error to our log.
func (p *process) log(logger *slog.Logger) {
	defer close(p.logged)
	defer func() { _ = p.stderr.Close() }()
	reader := bufio.NewReaderSize(p.stderr, maxLogLine)
	for {
		line, err := reader.ReadSlice('\n')
		if text := trimEnd(line); text != "" {
			logger.Info("tool server: " + text)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

func trimEnd(line []byte) string {
	for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
		line = line[:len(line)-1]
	}
	return string(line)
}

// end ends the process: politely when it has time, else at once. It returns when the process is gone, or when not even killing helped.
func (p *process) end(polite bool) bool {
	_ = p.stdin.Close()
	if p.goneWithin(0) {
		return true // its number may belong to another by now
	}
	if polite {
		if p.goneWithin(politeWait) {
			return true
		}
		p.signal(terminate)
		if p.goneWithin(politeWait) {
			return true
		}
	}
	p.signal(kill)
	return p.goneWithin(politeWait)
}

func (p *process) goneWithin(wait time.Duration) bool {
	select {
	case <-p.gone:
		return true
	default:
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-p.gone:
		return true
	case <-timer.C:
		return false
	}
}

// startFailure is the message for a process that does not start.
func startFailure(server *Stdio, err error) string {
	var notFound *exec.Error
	if errors.As(err, &notFound) {
		return fmt.Sprintf("its command %q cannot be run: %v", server.Command, notFound.Err)
	}
	return fmt.Sprintf("its command %q cannot be run: %v", server.Command, err)
}
