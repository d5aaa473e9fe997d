// Command cuebridge is the C archive through which Caravel evaluates CUE. The interface is coarse on
// purpose: one request in, one reply out, both JSON (see docs/protocol.md).
package main

/*
#include <stdint.h>
#include <stdlib.h>

typedef struct { const uint8_t *ptr; size_t len; } kv_in;
typedef struct { uint8_t *ptr; size_t len; } kv_out;
*/
import "C"

import (
	"unsafe"

	"caravel.dev/cuebridge/bridge"
)

// abi is (major << 16) | minor of this interface; the Rust side refuses another major.
const abi = 1 << 16

//export kv_abi
func kv_abi() C.uint32_t { return abi }

// kv_init sets the collector of the Go runtime; zero leaves a setting alone.
//
//export kv_init
func kv_init(gogc C.int32_t, memoryLimit C.int64_t) { bridge.Configure(int(gogc), int64(memoryLimit)) }

// kv_remember bounds how many bytes of templates are remembered, and forgets all that are.
//
//export kv_remember
func kv_remember(bytes C.int64_t) { bridge.RememberTemplates(int(bytes)) }

// kv_call serves one request. The input is copied before use. The output is on the C heap and is freed
// with kv_free; its pointer is null when there is no memory for it.
//
//export kv_call
func kv_call(in C.kv_in) C.kv_out {
	// A copy, because CUE keeps slices of its sources; bridge.MaxRequest bounds it.
	if in.len > bridge.MaxRequest {
		return toC(bridge.TooLarge(uint64(in.len)))
	}
	return toC(bridge.Call(C.GoBytes(unsafe.Pointer(in.ptr), C.int(in.len))))
}

func toC(reply []byte) C.kv_out {
	return C.kv_out{ptr: (*C.uint8_t)(C.CBytes(reply)), len: C.size_t(len(reply))}
}

// kv_free frees what kv_call returned.
//
//export kv_free
func kv_free(ptr *C.uint8_t) { C.free(unsafe.Pointer(ptr)) }

func main() {}
