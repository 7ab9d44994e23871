{{- define "podskew.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "podskew.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{- define "podskew.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "podskew.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{/* The name stays podskew whatever nameOverride says: alerts and runbooks find the pods by it. */}}
{{- define "podskew.selectorLabels" -}}
app.kubernetes.io/name: podskew
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Of the root and further labels: all labels of an object. Those that have a meaning here win. */}}
{{- define "podskew.labels" -}}
{{- $root := first . -}}
{{- $own := dict
  "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/version" $root.Chart.AppVersion
  "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- merge $own (include "podskew.selectorLabels" $root | fromYaml) (last .) $root.Values.commonLabels | toYaml -}}
{{- end -}}

{{- define "podskew.image" -}}
{{- $image := .Values.image -}}
{{- with $image.registry }}{{ . }}/{{ end }}{{ $image.repository }}
{{- with $image.digest -}}
{{- with $image.tag }}:{{ . }}{{ end }}@{{ . }}
{{- else -}}
:{{ $image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "podskew.args" -}}
{{- $options := list
  (list "namespace" .Values.namespaces)
  (list "exclude-namespace" .Values.excludeNamespaces)
  (list "ignore-container" .Values.ignoreContainers)
  (list "workload-kind" .Values.workloadKinds)
  (list "stalled-after" (.Values.stalledAfter | list | compact))
  (list "pod-label" .Values.metricPodLabels)
  (list "metric-allowlist" .Values.metricAllowlist)
  (list "metric-denylist" .Values.metricDenylist)
  (list "log-format" (.Values.logFormat | list | compact))
  (list "log-level" (.Values.logLevel | list | compact)) -}}
{{- $args := list -}}
{{- range $options -}}
{{- $option := first . -}}
{{- range last . -}}
{{- $args = append $args (printf "--%s=%s" $option .) -}}
{{- end -}}
{{- end -}}
{{- if .Values.jobs -}}
{{- $args = append $args "--jobs" -}}
{{- end -}}
{{- concat $args .Values.extraArgs | toYaml -}}
{{- end -}}

{{/* What podskew lists and watches, and nothing else. */}}
{{- define "podskew.rules" -}}
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [apps]
  resources: [replicasets, deployments, statefulsets, daemonsets, controllerrevisions]
  verbs: [list, watch]
- apiGroups: [argoproj.io] # without Argo Rollouts this rule does no harm
  resources: [rollouts]
  verbs: [list, watch]
{{- end -}}

{{/* The part that an endpoint of a ServiceMonitor and one of a PodMonitor have in common: port, labels, pace. */}}
{{- define "podskew.endpoint" -}}
port: http
path: /metrics
honorLabels: {{ .honorLabels }}
{{- with .interval }}
interval: {{ . }}
{{- end }}
{{- with .scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- if or .dropTargetLabels .relabelings }}
relabelings:
  {{- with .dropTargetLabels }}
  # podskew's own: no alert is about them.
  - action: labeldrop
    regex: {{ join "|" . }}
  {{- end }}
  {{- with .relabelings }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
