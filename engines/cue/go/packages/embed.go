// Package packages holds the CUE text of the packages that templates import as "vela/<name>".
package packages

import "embed"

// Files holds component/<name>.cue and workflow/<name>.cue.
//
//go:embed component workflow
var Files embed.FS
