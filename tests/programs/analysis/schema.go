package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"

	"sigs.k8s.io/yaml"
)

type definition struct {
	Spec struct {
		Names    struct{ Kind string }
		Versions []struct {
			Name   string
			Schema struct{ OpenAPIV3Schema node }
		}
	}
}

type node struct {
	Type       string
	Required   []string
	Properties map[string]node
	Items      *node
	Enum       []any
	Additional any  `json:"additionalProperties"`
	Preserve   bool `json:"x-kubernetes-preserve-unknown-fields"`
	IntOrText  bool `json:"x-kubernetes-int-or-string"`
}

// Holds the documents of a file that are of the kind a CustomResourceDefinition defines against its schema.
func schema(crds, file string) {
	text, err := os.ReadFile(crds)
	check(err)
	read := 0
	for _, part := range bytes.Split(text, []byte("\n---\n")) {
		var definition definition
		check(yaml.Unmarshal(part, &definition))
		for _, document := range documents(file) {
			var object map[string]any
			check(yaml.Unmarshal(document, &object))
			if object["kind"] == definition.Spec.Names.Kind {
				check(fault(definition.Spec.Versions[0].Schema.OpenAPIV3Schema, object, file))
				read++
			}
		}
	}
	fmt.Println(read, "hold")
}

func fault(schema node, value any, path string) error {
	if len(schema.Enum) > 0 && !slices.Contains(schema.Enum, value) {
		return fmt.Errorf("%s: %v is none of %v", path, value, schema.Enum)
	}
	if schema.IntOrText {
		return nil
	}
	switch value := value.(type) {
	case map[string]any:
		if schema.Type != "object" {
			return fmt.Errorf("%s ought to be %s", path, schema.Type)
		}
		for _, name := range schema.Required {
			if _, there := value[name]; !there {
				return fmt.Errorf("%s lacks %s", path, name)
			}
		}
		for name, inner := range value {
			known, there := schema.Properties[name]
			if !there && (schema.Preserve || schema.Additional != nil || schema.Properties == nil) {
				continue
			}
			if !there {
				return fmt.Errorf("%s has no %s", path, name)
			}
			if err := fault(known, inner, path+"."+name); err != nil {
				return err
			}
		}
	case []any:
		if schema.Type != "array" {
			return fmt.Errorf("%s ought to be %s", path, schema.Type)
		}
		for index, inner := range value {
			if err := fault(*schema.Items, inner, fmt.Sprintf("%s[%d]", path, index)); err != nil {
				return err
			}
		}
	case string:
		if schema.Type != "string" {
			return fmt.Errorf("%s ought to be %s", path, schema.Type)
		}
	case bool:
		if schema.Type != "boolean" {
			return fmt.Errorf("%s ought to be %s", path, schema.Type)
		}
	case float64:
		if schema.Type != "integer" && schema.Type != "number" {
			return fmt.Errorf("%s ought to be %s", path, schema.Type)
		}
	}
	return nil
}
