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

{{/* Of the root and the annotations of an object: both, on lines of their own. */}}
{{- define "podskew.annotations" }}
{{- with merge (dict) (last .) (first .).Values.commonAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
{{- end }}
{{- end -}}

{{- define "podskew.image" -}}
{{- $image := .Values.image -}}
{{- with .Values.global.imageRegistry | default $image.registry }}{{ . }}/{{ end }}{{ $image.repository }}
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
  (list "registry" .Values.registry.hosts)
  (list "registry-auth" (ternary (list (printf "/etc/podskew/registry-auth/%s" .Values.registry.auth.key)) list (and .Values.registry.hosts .Values.registry.auth.secretName | empty | not)))
  (list "registry-helpers" (ternary (list "/etc/podskew/registry-helpers") list (and .Values.registry.hosts .Values.registry.helpers | empty | not)))
  (list "registry-ca" (ternary (list (printf "/etc/podskew/registry-ca/%s" .Values.registry.ca.key)) list (and .Values.registry.hosts .Values.registry.ca.configMapName | empty | not)))
  (list "registry-interval" (ternary (.Values.registry.interval | list | compact) list (.Values.registry.hosts | empty | not)))
  (list "stalled-after" (.Values.stalledAfter | list | compact))
  (list "pod-label" .Values.metricPodLabels)
  (list "metric-allowlist" .Values.metricAllowlist)
  (list "metric-denylist" .Values.metricDenylist)
  (list "page" (include "podskew.page" . | list | compact))
  (list "page-host" .Values.pageHosts)
  (list "page-url" (.Values.pageUrl | list | compact))
  (list "link" .Values.links)
  (list "web-config-file" (ternary (list "/etc/podskew/web/web.yaml") list (eq (include "podskew.hasWebConfig" .) "true")))
  (list "auth" (ternary (list "kubernetes") list .Values.auth.kubernetes.enabled))
  (list "auth-audience" (ternary .Values.auth.kubernetes.audiences list .Values.auth.kubernetes.enabled))
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
{{- if .Values.nodes -}}
{{- $args = append $args "--nodes" -}}
{{- end -}}
{{- if .Values.pageMessages -}}
{{- $args = append $args "--page-messages" -}}
{{- end -}}
{{- concat $args .Values.extraArgs | toYaml -}}
{{- end -}}

{{/* Where the page is served; empty for podskew's own default. YAML reads on and off as true and false. */}}
{{- define "podskew.page" -}}
{{- $page := toString .Values.page -}}
{{- get (dict "true" "on" "false" "off") $page | default $page -}}
{{- end -}}

{{/* The port of the page, if it has an address of its own. */}}
{{- define "podskew.pagePort" -}}
{{- regexFind ":[0-9]+$" (toString .Values.page) | trimPrefix ":" -}}
{{- end -}}

{{/* The Secret with the server's certificate; empty without one. */}}
{{- define "podskew.tlsSecret" -}}
{{- $tls := .Values.web.tls -}}
{{- if or $tls.secretName $tls.certificate.enabled -}}
{{- $tls.secretName | default (printf "%s-tls" (include "podskew.fullname" .)) -}}
{{- end -}}
{{- end -}}

{{/* Whether there is a web configuration file: "true" or "false". */}}
{{- define "podskew.hasWebConfig" -}}
{{- or .Values.web.config .Values.web.existingSecret (include "podskew.tlsSecret" .) | empty | not -}}
{{- end -}}

{{- define "podskew.scheme" -}}
{{- $hasTls := or (include "podskew.tlsSecret" .) (get .Values.web.config "tls_server_config") | empty | not -}}
{{- .Values.web.scheme | default (ternary "https" "http" $hasTls) -}}
{{- end -}}

{{/* The web configuration file, with the files of web.tls where it names no others. */}}
{{- define "podskew.webConfig" -}}
{{- $config := deepCopy .Values.web.config -}}
{{- if include "podskew.tlsSecret" . -}}
{{- $tls := get $config "tls_server_config" | default dict -}}
{{- $files := dict "cert_file" "/etc/podskew/tls/tls.crt" "key_file" "/etc/podskew/tls/tls.key" -}}
{{- if and (has (get $tls "client_auth_type") (list "RequireAndVerifyClientCert" "VerifyClientCertIfGiven")) (not (get $tls "client_ca")) -}}
{{- $_ := set $files "client_ca_file" "/etc/podskew/tls/ca.crt" -}}
{{- end -}}
{{- $_ := set $config "tls_server_config" (merge (deepCopy $tls) $files) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* Secrets are mounted whole, so that a change of them arrives. */}}
{{- define "podskew.volumes" -}}
{{- if eq (include "podskew.hasWebConfig" .) "true" }}
- name: web
  secret:
    secretName: {{ .Values.web.existingSecret | default (printf "%s-web" (include "podskew.fullname" .)) }}
{{- end }}
{{- with include "podskew.tlsSecret" . }}
- name: tls
  secret:
    secretName: {{ . }}
{{- end }}
{{- if .Values.registry.hosts }}
{{- with .Values.registry.auth.secretName }}
- name: registry-auth
  secret:
    secretName: {{ . }}
{{- end }}
{{- with .Values.registry.ca.configMapName }}
- name: registry-ca
  configMap:
    name: {{ . }}
{{- end }}
{{- with .Values.registry.helpers }}
- name: registry-helpers
  {{- toYaml . | nindent 2 }}
- name: registry-home
  emptyDir: {sizeLimit: 16Mi}
{{- end }}
{{- end }}
{{- end -}}

{{- define "podskew.volumeMounts" -}}
{{- range include "podskew.volumes" . | fromYamlArray }}
- name: {{ .name }}
{{- if eq .name "registry-home" }}
  mountPath: /tmp
{{- else }}
  mountPath: /etc/podskew/{{ .name }}
  readOnly: true
{{- end }}
{{- end }}
{{- end -}}

{{/* Of the root and a probe: the probe, with the scheme that podskew speaks. */}}
{{- define "podskew.probe" -}}
{{- $probe := deepCopy (last .) -}}
{{- if and (hasKey $probe "httpGet") (eq (include "podskew.scheme" (first .)) "https") -}}
{{- $_ := set $probe "httpGet" (merge $probe.httpGet (dict "scheme" "HTTPS")) -}}
{{- end -}}
{{- toYaml $probe -}}
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
- apiGroups: [apps.kruise.io] # nor this one without OpenKruise
  resources: [clonesets]
  verbs: [list, watch]
{{- end -}}

{{/* Of the root and a monitor: the part that an endpoint of a ServiceMonitor and one of a PodMonitor have in common. */}}
{{- define "podskew.endpoint" -}}
{{- $root := first . -}}
{{- $scheme := (last .).scheme | default (include "podskew.scheme" $root) -}}
{{- $own := dict -}}
{{- if and (include "podskew.tlsSecret" $root) (eq $scheme "https") -}}
{{- $own = dict "serverName" (printf "%s.%s.svc" (include "podskew.fullname" $root) (include "podskew.namespace" $root)) -}}
{{- if has (last .).namespace (list "" (include "podskew.namespace" $root)) -}}
{{- $_ := set $own "ca" (dict "secret" (dict "name" (include "podskew.tlsSecret" $root) "key" "ca.crt")) -}}
{{- end -}}
{{- end -}}
{{- with last . -}}
port: http
path: /metrics
{{- if eq $scheme "https" }}
scheme: https
{{- end }}
{{- with .tlsConfig | default $own }}
tlsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .basicAuth }}
basicAuth:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .authorization }}
authorization:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .bearerTokenFile }}
bearerTokenFile: {{ . }}
{{- end }}
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
{{- end -}}

{{/* Of a monitor: what stands beside its endpoint. */}}
{{- define "podskew.monitor" }}
{{- with .scrapeClass }}
  scrapeClass: {{ . }}
{{- end }}
{{- with .sampleLimit }}
  sampleLimit: {{ int64 . }}
{{- end }}
{{- end -}}

{{/* Of the root and a file: a dashboard, with the label that names a cluster. The variable keeps its name. */}}
{{- define "podskew.dashboard" -}}
{{- $label := (first .).Values.clusterLabel -}}
{{- $text := (first .).Files.Get (last .) -}}
{{- if ne $label "cluster" -}}
{{- $text = regexReplaceAll `\bcluster(=~|!=)` $text (printf "%s$1" $label) -}}
{{- $text = regexReplaceAll `([(,] ?)cluster([,)])` $text (printf "${1}%s$2" $label) -}}
{{- $text = regexReplaceAll `"cluster": ("Cluster"|[0-9]+|true|false)` $text (printf "\"%s\": $1" $label) -}}
{{- $text = regexReplaceAll `\{\{cluster\}\}` $text (printf "{{%s}}" $label) -}}
{{- end -}}
{{- $text -}}
{{- end -}}
