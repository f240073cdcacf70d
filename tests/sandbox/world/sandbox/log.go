package sandbox

import (
	"fmt"
	"os"
	"time"
)

// RotateLog begins a new log of a backend; the one before is kept as NAME.previous.log.
func (s *Sandbox) RotateLog(name string) {
	_ = os.Rename(s.Path("log", name+".log"), s.Path("log", name+".previous.log"))
}

// Log adds a line to a backend's log, which is the only one of a backend that is not a process.
func (s *Sandbox) Log(name, level, message string) {
	file, err := os.OpenFile(s.Path("log", name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer file.Close()
	fmt.Fprintf(file, "ts=%s level=%s msg=%q\n", time.Now().UTC().Format(time.RFC3339Nano), level, message)
}
