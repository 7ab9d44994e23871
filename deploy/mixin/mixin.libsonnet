// Alerts and dashboards as a mixin: `jb install github.com/podskew/podskew@main`, and
//
//   (import 'github.com/podskew/podskew/deploy/mixin/mixin.libsonnet') + { _config+:: { clusterLabel: 'k8s_cluster' } }
//
// It is made of the files that the chart is made of, so both say the same.
{
  _config+:: {
    // Label that names a cluster.
    clusterLabel: 'cluster',
    // Whether dashboards let people choose a cluster.
    showMultiCluster: true,
    // Matchers of every expression, as in 'job="podskew"'.
    selector: '',
    // Where runbooks are, each as the name of its alert and `.md`.
    runbookUrl: source.runbooks,
    // Descriptions: 'full', or 'short', which ask Prometheus nothing.
    texts: 'full',
    // Context of every command; $cluster stands for the cluster's name.
    kubectlContext: '',
    // Whether the alerts for a ruler that sees several clusters are there.
    multiClusterAlerts: false,
    // How often each group is evaluated.
    intervals: std.mapWithKey(function(_, group) group.interval, values.prometheusRule.groups),
    // Severity, `for` and threshold of each alert, as in values.yaml of the chart.
    alerts: values.prometheusRule.alerts,
    grafanaTags: null,
  },

  local config = self._config,
  local values = std.parseYaml(importstr '../helm/podskew/values.yaml'),
  local text = importstr '../helm/podskew/files/alerts.yaml',
  local source = std.parseYaml(text),

  local replaced(text, replacements) = std.foldl(function(text, pair) std.strReplace(text, pair[0], pair[1]), replacements, text),

  local clusterName = 'or $labels.%s $externalLabels.%s' % [config.clusterLabel, config.clusterLabel],
  local settings =
    [
      ['<<cluster>>', config.clusterLabel],
      ['<<context>>', if config.kubectlContext == '' then '' else '{{ with %s }} --context %s{{ end }}' % [clusterName, std.strReplace(config.kubectlContext, '$cluster', '{{ . }}')]],
      ['<<with_context>>', if config.kubectlContext == '' then '' else ' | reReplaceAll "kubectl( argo rollouts)? -n " (printf "kubectl$1%%s -n " (or (and (%s) (printf " --context %s" (%s))) ""))' % [clusterName, std.strReplace(config.kubectlContext, '$cluster', '%s'), clusterName]],
    ]
    + [['<<%s.for>>' % name, config.alerts[name]['for']] for name in std.objectFields(config.alerts)]
    + [
      ['<<%s.threshold>>' % name, std.toString(config.alerts[name].threshold)]
      for name in std.objectFields(config.alerts)
      if std.objectHas(config.alerts[name], 'threshold')
    ],

  // Each metric of an expression with the matchers of `selector`.
  local selected(expression) =
    if config.selector == '' then expression else
      local parts = std.split(expression, 'podskew_');
      local isName(c) = std.member('abcdefghijklmnopqrstuvwxyz_', c);
      local nameLength(part, at=0) = if at < std.length(part) && isName(part[at]) then nameLength(part, at + 1) else at;
      local matched(part) =
        local end = nameLength(part);
        local rest = part[end:];
        part[:end] + (if std.startsWith(rest, '{') then '{' + config.selector + ',' + rest[1:] else '{' + config.selector + '}' + rest);
      std.join('podskew_', [parts[0]] + [matched(part) for part in parts[1:]]),

  local rule(alert) =
    local changed = config.alerts[alert.alert];
    {
      alert: alert.alert,
      expr: selected(replaced(alert.expr, settings)),
      labels: { severity: changed.severity },
      annotations: {
        summary: replaced(alert.summary, settings),
        description: replaced(if config.texts == 'short' then alert.short else alert.description, settings),
        runbook_url: '%s/%s.md' % [config.runbookUrl, alert.alert],
      },
    } + (if changed['for'] == '0s' then {} else { 'for': changed['for'] }),

  local groups = ['critical', 'info', 'self'] + (if config.multiClusterAlerts then ['clusters'] else []),

  prometheusAlerts+:: {
    groups: [
      {
        name: 'podskew-' + group,
        interval: config.intervals[group],
        rules: [rule(alert) for alert in source.alerts if alert.group == group],
      }
      for group in groups
    ],
  },

  // The variable keeps its name, which links use.
  local renamed(text) =
    local label = config.clusterLabel;
    replaced(text, [
      ['cluster=~', label + '=~'],
      ['(cluster,', '(%s,' % label],
      ['(cluster)', '(%s)' % label],
      [', cluster)', ', %s)' % label],
      [', cluster,', ', %s,' % label],
      ['{{cluster}}', '{{%s}}' % label],
      ['"cluster": "Cluster"', '"%s": "Cluster"' % label],
    ] + [['"cluster": %d' % index, '"%s": %d' % [label, index]] for index in std.range(0, 9)]),

  local dashboard(text) = std.parseJson(if config.clusterLabel == 'cluster' then text else renamed(text)) + {
    tags: if config.grafanaTags == null then super.tags else config.grafanaTags,
    templating+: {
      list: [
        if variable.name == 'cluster' && !config.showMultiCluster then variable { hide: 2 } else variable
        for variable in super.list
      ],
    },
  },

  grafanaDashboards+:: {
    'podskew-fleet.json': dashboard(importstr '../../dashboards/fleet.json'),
    'podskew-workload.json': dashboard(importstr '../../dashboards/workload.json'),
    'podskew-canary.json': dashboard(importstr '../../dashboards/canary.json'),
  },
}
