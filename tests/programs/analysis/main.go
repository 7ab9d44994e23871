// Judges analysis templates with the code of those who will run them: Argo Rollouts' provider, arguments and
// expressions, and Flagger's provider and templates.
//
//	analysis schema CRD FILE                        holds each document of FILE against the schema of its kind
//	analysis argo FILE NAME PROMETHEUS ARG=VALUE…   one measurement of each metric of a template: name, phase, value
//	analysis flagger FILE NAME PROMETHEUS NAMESPACE TARGET INTERVAL VARIABLE=VALUE…   the value, or the error
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/argoproj/argo-rollouts/metricproviders/prometheus"
	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	query "github.com/argoproj/argo-rollouts/utils/template"
	flagger "github.com/fluxcd/flagger/pkg/apis/flagger/v1beta1"
	"github.com/fluxcd/flagger/pkg/metrics/observers"
	"github.com/fluxcd/flagger/pkg/metrics/providers"
	log "github.com/sirupsen/logrus"
	"sigs.k8s.io/yaml"
)

func check(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// Each document of a YAML file.
func documents(file string) [][]byte {
	text, err := os.ReadFile(file)
	check(err)
	return bytes.Split(append([]byte("\n"), text...), []byte("\n---\n"))
}

// The document of this kind and name; a field that the type does not have is an error.
func read(file, kind, name string, into any) {
	for _, document := range documents(file) {
		var head struct {
			Kind     string
			Metadata struct{ Name string }
		}
		check(yaml.Unmarshal(document, &head))
		if head.Kind == kind && head.Metadata.Name == name {
			check(yaml.UnmarshalStrict(document, into))
			return
		}
	}
	check(fmt.Errorf("%s has no %s %s", file, kind, name))
}

func pairs(arguments []string) map[string]string {
	pairs := map[string]string{}
	for _, argument := range arguments {
		name, value, _ := strings.Cut(argument, "=")
		pairs[name] = value
	}
	return pairs
}

func argo(file, name, address string, values map[string]string) {
	var found v1alpha1.AnalysisTemplate
	read(file, "AnalysisTemplate", name, &found)
	for index, argument := range found.Spec.Args {
		if value, given := values[argument.Name]; given {
			found.Spec.Args[index].Value = &value
			delete(values, argument.Name)
		}
	}
	if len(values) > 0 {
		check(fmt.Errorf("%s has no argument %v", name, values))
	}
	for _, metric := range found.Spec.Metrics {
		// As Argo does it: in the text of the whole metric.
		text, err := json.Marshal(metric)
		check(err)
		resolved, err := query.ResolveQuotedArgs(string(text), found.Spec.Args)
		check(err)
		metric = v1alpha1.Metric{}
		check(json.Unmarshal([]byte(resolved), &metric))
		metric.Provider.Prometheus.Address = address
		api, err := prometheus.NewPrometheusAPI(metric)
		check(err)
		provider, err := prometheus.NewPrometheusProvider(api, *log.NewEntry(log.New()), metric)
		check(err)
		measurement := provider.Run(&v1alpha1.AnalysisRun{}, metric)
		fmt.Println(metric.Name, measurement.Phase, measurement.Value, measurement.Message)
	}
}

func flaggers(file, name, address string, model flagger.MetricTemplateModel) {
	var found flagger.MetricTemplate
	read(file, "MetricTemplate", name, &found)
	rendered, err := observers.RenderQuery(found.Spec.Query, model)
	check(err)
	provider, err := providers.NewPrometheusProvider(flagger.MetricTemplateProvider{Address: address}, nil)
	check(err)
	value, err := provider.RunQuery(rendered)
	check(err)
	fmt.Println(value)
}

func main() {
	switch arguments := os.Args[1:]; arguments[0] {
	case "schema":
		schema(arguments[1], arguments[2])
	case "argo":
		argo(arguments[1], arguments[2], arguments[3], pairs(arguments[4:]))
	case "flagger":
		model := flagger.MetricTemplateModel{Namespace: arguments[4], Target: arguments[5], Interval: arguments[6]}
		model.Variables = pairs(arguments[7:])
		flaggers(arguments[1], arguments[2], arguments[3], model)
	}
}
