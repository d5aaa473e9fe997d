package bridge

import "fmt"

// limitError says that a limit of the bridge was hit.
type limitError struct{ message string }

func (e *limitError) Error() string { return e.message }

// badRequestError says that the caller broke the protocol.
type badRequestError struct{ message string }

func (e *badRequestError) Error() string { return e.message }

// needError carries the calls that the caller must answer first.
type needError struct{ calls []call }

func (e *needError) Error() string { return fmt.Sprintf("%d calls are needed", len(e.calls)) }

// templateError carries an error that an author or user can mend.
type templateError struct{ body evalError }

func (e *templateError) Error() string { return e.body.KubevelaText }

// checkNesting refuses bytes that open too many brackets at once: CUE's parser is recursive and a stack
// that overflows kills the process. The scan ignores quoting on purpose, so that it cannot be fooled by
// it; a closing bracket in a string only makes it count lower than it is, and an escaped quote cannot hide
// an opening one.
func checkNesting(text string) error {
	depth, deepest := 0, 0
	for _, b := range []byte(text) {
		switch b {
		case '{', '[', '(':
			depth++
			deepest = max(deepest, depth)
		case '}', ']', ')':
			depth--
		}
	}
	if deepest > maxNesting {
		return &limitError{fmt.Sprintf("brackets are nested %d deep; the limit is %d", deepest, maxNesting)}
	}
	return nil
}
