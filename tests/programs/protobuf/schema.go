package main

import (
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const header = `# How Kubernetes writes its objects in protobuf: made of k8s.io/api v0.36.3 by "make protobuf-schema", not by hand.
#
# A line is a message: its name, and its fields as NAME:KIND=NUMBER in the order in which they are written. NAME is that
# in JSON; a field without one stands inlined in JSON. NUMBER 0 is not written. "!" marks what is always written, even
# without a value. Times, quantities and other types whose JSON is not that of a message are kinds of their own.
`

// What an API server answers with, its lists left out: they are a ListMeta and items.
var answers = []any{
	corev1.Pod{}, corev1.Node{}, appsv1.ReplicaSet{}, appsv1.Deployment{}, appsv1.StatefulSet{}, appsv1.DaemonSet{},
	appsv1.ControllerRevision{}, metav1.Status{},
}

// Types with a JSON of their own.
var special = map[reflect.Type]string{
	reflect.TypeFor[metav1.Time]():          "Time",
	reflect.TypeFor[metav1.MicroTime]():     "MicroTime",
	reflect.TypeFor[metav1.FieldsV1]():      "FieldsV1",
	reflect.TypeFor[resource.Quantity]():    "Quantity",
	reflect.TypeFor[intstr.IntOrString]():   "IntOrString",
	reflect.TypeFor[runtime.RawExtension](): "RawExtension",
	reflect.TypeFor[[]byte]():               "bytes",
}

type schemaWriter struct {
	out   io.Writer
	known map[string]reflect.Type
	queue []reflect.Type
}

func writeSchema(out io.Writer) error {
	writer := &schemaWriter{out: out, known: map[string]reflect.Type{}}
	if _, err := io.WriteString(out, header); err != nil {
		return err
	}
	for _, answer := range append(answers, metav1.ListMeta{}) {
		if err := writer.ask(reflect.TypeOf(answer)); err != nil {
			return err
		}
	}
	for len(writer.queue) > 0 {
		message := writer.queue[0]
		writer.queue = writer.queue[1:]
		if err := writer.message(message); err != nil {
			return fmt.Errorf("%s: %w", message, err)
		}
	}
	return nil
}

// Has a message written once. Two messages of one name would need longer names.
func (w *schemaWriter) ask(message reflect.Type) error {
	known, ok := w.known[message.Name()]
	if ok && known != message {
		return fmt.Errorf("%s and %s have one name", known, message)
	}
	if !ok {
		w.known[message.Name()] = message
		w.queue = append(w.queue, message)
	}
	return nil
}

func (w *schemaWriter) message(message reflect.Type) error {
	fields := map[int]string{}
	line, last := message.Name(), 0
	for index := range message.NumField() {
		field := message.Field(index)
		if field.Type == reflect.TypeFor[metav1.TypeMeta]() {
			line += " apiVersion:string=0 kind:string=0"
			continue
		}
		number, err := strconv.Atoi(strings.Split(field.Tag.Get("protobuf"), ",")[1])
		if err != nil {
			return fmt.Errorf("%s: %w", field.Name, err)
		}
		kind, err := w.kind(field.Type)
		if err != nil {
			return fmt.Errorf("%s: %w", field.Name, err)
		}
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" && !strings.Contains(options, "inline") {
			return fmt.Errorf("%s is not inlined and has no name", field.Name)
		}
		always := ""
		switch field.Type.Kind() {
		case reflect.Pointer:
			if name == "" {
				return fmt.Errorf("%s is inlined and a pointer", field.Name)
			}
		case reflect.Slice, reflect.Map:
		default:
			always = "!"
		}
		fields[number] = fmt.Sprintf(" %s:%s=%d%s", name, kind, number, always)
		last = max(last, number)
	}
	for number := range last + 1 {
		line += fields[number]
	}
	_, err := fmt.Fprintln(w.out, line)
	return err
}

func (w *schemaWriter) kind(field reflect.Type) (string, error) {
	if name, ok := special[field]; ok {
		return name, nil
	}
	switch field.Kind() {
	case reflect.String:
		return "string", nil
	case reflect.Bool:
		return "bool", nil
	case reflect.Int32:
		return "int32", nil
	case reflect.Int64:
		return "int64", nil
	case reflect.Struct:
		return field.Name(), w.ask(field)
	case reflect.Pointer:
		return w.kind(field.Elem())
	case reflect.Slice:
		kind, err := w.kind(field.Elem())
		return "[]" + kind, err
	case reflect.Map:
		if field.Key().Kind() != reflect.String {
			return "", fmt.Errorf("the keys of %s are no strings", field)
		}
		kind, err := w.kind(field.Elem())
		return "{}" + kind, err
	default:
		return "", fmt.Errorf("%s is of a kind nobody has met yet", field)
	}
}
