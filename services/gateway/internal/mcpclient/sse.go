package mcpclient

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"time"
)

var errEventTooLarge = errors.New("the server sent an event above the limit of 16 MiB")

// event is one server-sent event. Its data is valid until the next call of next.
type event struct {
	id    string
	hasID bool
	name  string
	data  []byte
	retry time.Duration
}

// events reads server-sent events from a stream.
type events struct {
	reader *bufio.Reader
	data   []byte
}

// next returns the next event that has data, an id or a retry time. io.EOF is the end of the stream; an event that the end cuts off is
// dropped, as the format asks.
func (e *events) next() (event, error) {
	var found event
	var filled bool
	e.data = e.data[:0]
	for {
		line, err := e.line()
		if err != nil {
			return event{}, err
		}
		if len(line) == 0 {
			if filled {
				found.data = bytes.TrimSuffix(e.data, []byte("\n"))
				return found, nil
			}
			continue
		}
		filled = e.field(&found, line) || filled
		if len(e.data) > maxAnswer {
			return event{}, errEventTooLarge
		}
	}
}

// field takes in one line of an event; it is false for lines that mean nothing.
func (e *events) field(found *event, line []byte) bool {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "data":
		e.data = append(append(e.data, value...), '\n')
	case "event":
		found.name = string(value)
	case "id":
		found.id, found.hasID = string(value), true
	case "retry":
		if ms, err := strconv.ParseUint(string(value), 10, 31); err == nil {
			found.retry = time.Duration(ms) * time.Millisecond
		}
	default:
		return false
	}
	return true
}

// line returns a line without its end. A last line without an end is not one.
func (e *events) line() ([]byte, error) {
	line, err := readLine(e.reader)
	return bytes.TrimSuffix(line, []byte("\r")), err
}

// readLine returns a line without "\n", valid until the next read. io.EOF says that no whole line is left.
func readLine(reader *bufio.Reader) ([]byte, error) {
	line, err := reader.ReadSlice('\n')
	if err == nil {
		return line[:len(line)-1], nil
	}
	if !errors.Is(err, bufio.ErrBufferFull) {
		return nil, err
	}
	long := append([]byte(nil), line...)
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = reader.ReadSlice('\n')
		long = append(long, line...)
		if len(long) > maxAnswer {
			return nil, errEventTooLarge
		}
	}
	if err != nil {
		return nil, err
	}
	return long[:len(long)-1], nil
}

// eof reports whether an error is the plain end of a stream.
func eof(err error) bool { return errors.Is(err, io.EOF) }
