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
