// Asks the Pod Security Standards' own code, as an API server's admission runs it, what `restricted` says of pods.
//
//	podsecurity < pods > answers
//
// A line of the input is a pod, or anything with its metadata and spec. A line of the output is "allowed", or what is
// forbidden and why.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

func main() {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	check(err)
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var pod corev1.Pod
		check(json.Unmarshal(lines.Bytes(), &pod))
		result := policy.AggregateCheckResults(evaluator.EvaluatePod(level, &pod.ObjectMeta, &pod.Spec))
		if result.Allowed {
			fmt.Println("allowed")
		} else {
			fmt.Println(result.ForbiddenDetail())
		}
	}
	check(lines.Err())
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
