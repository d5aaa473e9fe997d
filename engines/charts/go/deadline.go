package main

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// errEndless says that a chart's templates were given up. They still run: the process is of no use any more.
var errEndless = errors.New("do not end, or take far too long (loops in loops do that)")

// renderDeadline is how long the templates of a chart may take, as whoever started this program says. Fetching is not
// counted.
func renderDeadline() time.Duration {
	if said, err := time.ParseDuration(os.Getenv("CARAVEL_CHARTS_DEADLINE")); err == nil && said > 0 {
		return said
	}
	return 10 * time.Second
}

// within gives what a function gives, or errEndless where that takes too long. A panic becomes an error.
func within[Result any](limit time.Duration, do func() (Result, error)) (result Result, err error) {
	type outcome struct {
		result Result
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		var made outcome
		defer func() {
			if cause := recover(); cause != nil {
				made.err = fmt.Errorf("the templates' engine panicked: %v", cause)
			}
			done <- made
		}()
		made.result, made.err = do()
	}()
	select {
	case made := <-done:
		return made.result, made.err
	case <-time.After(limit):
		return result, errEndless
	}
}
