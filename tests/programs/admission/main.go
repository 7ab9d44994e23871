// Asks a Kubernetes API server's own code what the validations of a policy say about objects.
//
//	admission POLICY.yaml < requests > answers
//
// POLICY.yaml holds one policy: a ValidatingAdmissionPolicy, or a Kyverno ValidatingPolicy, whose variables and
// validations have the same form. A line of the input is {"object": …, "oldObject": …}; without an oldObject the object
// is being created. A line of the output is "admitted", or "denied: " and the message. Which resources a policy is asked
// about (its matchConstraints) is not looked at.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	admissionregistration "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string, in io.Reader, out io.Writer) error {
	if len(arguments) != 1 {
		return fmt.Errorf("usage: admission POLICY.yaml < requests")
	}
	text, err := os.ReadFile(arguments[0])
	if err != nil {
		return err
	}
	var policy admissionregistration.ValidatingAdmissionPolicy
	if err := yaml.Unmarshal(text, &policy); err != nil {
		return err
	}
	validator, err := compile(&policy)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		answer, err := judge(validator, lines.Bytes())
		if err != nil {
			return err
		}
		fmt.Fprintln(out, answer)
	}
	return lines.Err()
}

// As k8s.io/apiserver's compilePolicy, which is not exported. What does not compile is an error at once.
func compile(policy *admissionregistration.ValidatingAdmissionPolicy) (validating.Validator, error) {
	base := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())
	compiler, err := cel.NewCompositedCompiler(base)
	if err != nil {
		return nil, err
	}
	with := cel.OptionalVariableDeclarations{HasAuthorizer: true}
	for _, variable := range policy.Spec.Variables {
		result := compiler.CompileAndStoreVariable(
			&validating.Variable{Name: variable.Name, Expression: variable.Expression}, with, environment.NewExpressions)
		if result.Error != nil {
			return nil, fmt.Errorf("variable %s: %w", variable.Name, result.Error)
		}
	}
	var conditions, messages []cel.ExpressionAccessor
	for _, validation := range policy.Spec.Validations {
		condition := &validating.ValidationCondition{Expression: validation.Expression, Message: validation.Message}
		message := &validating.MessageExpressionCondition{MessageExpression: validation.MessageExpression}
		for _, expression := range []cel.ExpressionAccessor{condition, message} {
			if result := compiler.CompileCELExpression(expression, with, environment.NewExpressions); result.Error != nil {
				return nil, fmt.Errorf("%s: %w", expression.GetExpression(), result.Error)
			}
		}
		conditions = append(conditions, condition)
		messages = append(messages, message)
	}
	if len(conditions) == 0 {
		return nil, fmt.Errorf("the policy has no validations")
	}
	var matcher matchconditions.Matcher
	if len(policy.Spec.MatchConditions) > 0 {
		var preconditions []cel.ExpressionAccessor
		for _, condition := range policy.Spec.MatchConditions {
			precondition := matchconditions.MatchCondition(condition)
			if result := compiler.CompileCELExpression(&precondition, with, environment.NewExpressions); result.Error != nil {
				return nil, fmt.Errorf("%s: %w", condition.Expression, result.Error)
			}
			preconditions = append(preconditions, &precondition)
		}
		evaluator := compiler.CompileCondition(preconditions, with, environment.StoredExpressions)
		matcher = matchconditions.NewMatcher(evaluator, policy.Spec.FailurePolicy, "policy", "validate", policy.Name)
	}
	return validating.NewValidator(
		compiler.CompileCondition(conditions, with, environment.StoredExpressions),
		matcher,
		compiler.CompileCondition(nil, with, environment.StoredExpressions),
		compiler.CompileCondition(messages, cel.OptionalVariableDeclarations{}, environment.StoredExpressions),
		policy.Spec.FailurePolicy,
		nil,
	), nil
}

func judge(validator validating.Validator, line []byte) (string, error) {
	var request struct{ Object, OldObject map[string]any }
	if err := json.Unmarshal(line, &request); err != nil {
		return "", err
	}
	operation := admission.Create
	var old runtime.Object
	if request.OldObject != nil {
		operation = admission.Update
		old = &unstructured.Unstructured{Object: request.OldObject}
	}
	object := &unstructured.Unstructured{Object: request.Object}
	kind := object.GroupVersionKind()
	resource := schema.GroupVersionResource{Group: kind.Group, Version: kind.Version, Resource: strings.ToLower(kind.Kind) + "s"}
	attributes := admission.NewAttributesRecord(
		object, old, kind, object.GetNamespace(), object.GetName(), resource, "", operation, nil, false, nil)
	versioned := &admission.VersionedAttributes{
		Attributes: attributes, VersionedKind: kind, VersionedObject: object, VersionedOldObject: old,
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: object.GetNamespace()}}
	result := validator.Validate(
		context.Background(), resource, versioned, nil, namespace, celconfig.RuntimeCELCostBudget, nil)
	for _, decision := range result.Decisions {
		if decision.Action != validating.ActionAdmit {
			return "denied: " + decision.Message, nil
		}
	}
	return "admitted", nil
}
