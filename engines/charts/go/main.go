// Command caravel-charts renders Helm charts for Caravel: frames on standard input and output, as docs/protocol.md
// has them. Unlike the CUE engine it may use the network, because it fetches what it renders.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
)

// largestRequest bounds what is read of one frame.
const largestRequest = 16 << 20

type request struct {
	ID   uint64          `json:"id"`
	Op   string          `json:"op"`
	Body json.RawMessage `json:"body"`
}

type reply struct {
	ID     uint64 `json:"id"`
	Status string `json:"status"`
	Body   any    `json:"body"`
}

type fault struct {
	Message string `json:"message"`
}

type engineInfo struct {
	Engine   string `json:"engine"`
	Version  string `json:"version"`
	Protocol uint32 `json:"protocol"`
}

func main() {
	frames := make(chan []byte)
	go func() {
		// Whoever started this program is gone, whatever is under way here.
		defer os.Exit(0)
		input := bufio.NewReader(os.Stdin)
		for {
			frame, err := readFrame(input)
			if err != nil {
				return
			}
			frames <- frame
		}
	}()
	kept := newCache()
	for frame := range frames {
		answer := serve(frame, kept)
		if err := writeFrame(os.Stdout, answer); err != nil {
			fmt.Fprintln(os.Stderr, "fatal error:", err)
			os.Exit(1)
		}
		if answer.Status == "limit" {
			// What was given up still runs, and nothing else ends it.
			return
		}
	}
}

func readFrame(input io.Reader) ([]byte, error) {
	var length uint32
	if err := binary.Read(input, binary.BigEndian, &length); err != nil {
		return nil, err
	}
	if length > largestRequest {
		return nil, fmt.Errorf("a request of %d bytes", length)
	}
	frame := make([]byte, length)
	_, err := io.ReadFull(input, frame)
	return frame, err
}

func writeFrame(output io.Writer, answer reply) error {
	bytes, err := json.Marshal(answer)
	if err != nil {
		bytes, err = json.Marshal(reply{answer.ID, "panic", fault{"the result is no JSON: " + err.Error()}})
		if err != nil {
			return err
		}
	}
	frame := binary.BigEndian.AppendUint32(nil, uint32(len(bytes)))
	_, err = output.Write(append(frame, bytes...))
	return err
}

// serve answers one request. A chart that makes the templates' engine panic costs its own request only.
func serve(frame []byte, kept *cache) (answer reply) {
	var asked request
	if err := json.Unmarshal(frame, &asked); err != nil {
		return reply{0, "badRequest", fault{err.Error()}}
	}
	defer func() {
		if cause := recover(); cause != nil {
			answer = reply{asked.ID, "panic", fault{fmt.Sprint(cause)}}
		}
	}()
	switch asked.Op {
	case "ping":
		return reply{asked.ID, "ok", engineInfo{"helm", helmVersion(), 1}}
	case "chart":
		var wanted chartRequest
		if err := json.Unmarshal(asked.Body, &wanted); err != nil {
			return reply{asked.ID, "badRequest", fault{err.Error()}}
		}
		rendered, err := wanted.render(kept)
		if open := (*needs)(nil); errors.As(err, &open) {
			return reply{asked.ID, "need", open.lookups}
		}
		if errors.Is(err, errEndless) {
			return reply{asked.ID, "limit", fault{err.Error()}}
		}
		if err != nil {
			return reply{asked.ID, "error", fault{err.Error()}}
		}
		return reply{asked.ID, "ok", rendered}
	default:
		return reply{asked.ID, "badRequest", fault{fmt.Sprintf("unknown operation %q", asked.Op)}}
	}
}

func helmVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, module := range info.Deps {
		if module.Path == "helm.sh/helm/v3" {
			return module.Version
		}
	}
	return ""
}
