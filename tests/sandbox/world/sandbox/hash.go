package sandbox

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

func Hash(parts ...string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(parts, "\x00"))))
}
