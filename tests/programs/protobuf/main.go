// Says what an API server's answers are in protobuf, by Kubernetes' own types and encoders.
//
//	protobuf encode < lines > answers
//	protobuf schema > schema.txt
//
// A line for `encode` is an object in JSON, a list, or the event of a watch, {"type": …, "object": …}. For each line it
// writes how many bytes follow (four bytes, the highest first) and then what the server sends: an object or a list as
// "k8s\0" and a runtime.Unknown, an event as a frame of a watch, which begins with a length of its own. As an API server
// does, it passes over fields it does not know; a value of a wrong type ends it.
//
// `schema` writes what an encoder has to know of the types; schema.go says in which form.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	kjson "sigs.k8s.io/json"
)

func main() {
	mode := ""
	if len(os.Args) == 2 {
		mode = os.Args[1]
	}
	out := bufio.NewWriter(os.Stdout)
	var err error
	switch mode {
	case "encode":
		err = encodeLines(os.Stdin, out)
	case "schema":
		err = writeSchema(out)
	default:
		err = fmt.Errorf("usage: protobuf encode < lines > answers, or protobuf schema")
	}
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func encodeLines(in io.Reader, out io.Writer) error {
	encoder, err := newEncoder()
	if err != nil {
		return err
	}
	lines := bufio.NewReader(in)
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return err
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			answer, encodeErr := encoder.answer(line)
			if encodeErr != nil {
				return fmt.Errorf("line %d: %w", number, encodeErr)
			}
			if err := binary.Write(out, binary.BigEndian, uint32(len(answer))); err != nil {
				return err
			}
			if _, err := out.Write(answer); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}

type encoder struct {
	scheme *runtime.Scheme
	// What whole answers and the objects of events are written with.
	whole *protobuf.Serializer
	// What events are written with: without the prefix that says what they are.
	raw *protobuf.RawSerializer
}

func newEncoder() (*encoder, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	// Status has the version v1 whatever it is about.
	scheme.AddUnversionedTypes(schema.GroupVersion{Version: "v1"}, &metav1.Status{})
	return &encoder{
		scheme: scheme,
		whole:  protobuf.NewSerializer(scheme, scheme),
		raw:    protobuf.NewRawSerializer(scheme, scheme),
	}, nil
}

// An object or a list as the body of an answer, an event as a frame of a watch.
func (e *encoder) answer(line []byte) ([]byte, error) {
	var event struct {
		Type   string          `json:"type"`
		Kind   string          `json:"kind"`
		Object json.RawMessage `json:"object"`
	}
	if err := json.Unmarshal(line, &event); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if event.Kind != "" {
		err := e.object(line, &out)
		return out.Bytes(), err
	}
	if err := e.object(event.Object, &out); err != nil {
		return nil, err
	}
	var frame bytes.Buffer
	watchEvent := metav1.WatchEvent{Type: event.Type, Object: runtime.RawExtension{Raw: out.Bytes()}}
	err := e.raw.Encode(&watchEvent, protobuf.LengthDelimitedFramer.NewFrameWriter(&frame))
	return frame.Bytes(), err
}

func (e *encoder) object(text []byte, out io.Writer) error {
	var kind metav1.TypeMeta
	if err := json.Unmarshal(text, &kind); err != nil {
		return err
	}
	object, err := e.scheme.New(kind.GroupVersionKind())
	if err != nil {
		return err
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(text, object); err != nil {
		return fmt.Errorf("%s: %w", kind.Kind, err)
	}
	return e.whole.Encode(object, out)
}
