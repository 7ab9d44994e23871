//! The recordings with their expected reports: the phases of each workload, and the final report.

/// One recording.
pub struct Scenario {
    pub name: &'static str,
    /// Phases of each workload: start second, state, current hash, and since when.
    pub courses: &'static [Course],
    /// The summary at the end; times are seconds since the start of the recording.
    pub ending: &'static str,
    /// Speed of the replay relative to the recording.
    pub speed: f64,
}

/// The phases of one workload.
pub struct Course {
    pub workload_type: &'static str,
    pub workload: &'static str,
    pub phases: &'static [&'static str],
}

/// The undo at 17.67 uses a ReplicaSet again, so the age of this ReplicaSet means nothing.
pub const ROLLOUT: Scenario = Scenario {
    name: "rollout",
    courses: &[Course {
        workload_type: "deployment",
        workload: "api",
        phases: &[
            "0.05 complete to 5b7b7bcf9d",
            "1.60 progressing to nothing",
            "1.61 progressing to 7fbf86997f since +1",
            "5.72 complete to 7fbf86997f",
            "17.67 progressing to 5b7b7bcf9d since +17",
            "21.84 complete to 5b7b7bcf9d",
        ],
    }],
    ending: "\
deployment/api complete, hashes 1, outdated 0, pods 4
  5b7b7bcf9d (revision 3, current): 4 active, 4 ready
  app (template): digests 1
    5b7b7bcf9d (template): digests 1, 4 × registry.example/shop/api:v1 cd7ce95e
  asks for app: registry.example/shop/api:v1 (tag, IfNotPresent)
",
    speed: 4.0,
};

pub const RESTART_MOVED_TAG: Scenario = Scenario {
    name: "restart-moved-tag",
    courses: &[Course {
        workload_type: "deployment",
        workload: "api",
        phases: &[
            "0.06 complete to 6589587dcf",
            "1.78 progressing to nothing",
            "1.78 progressing to 7f7dc74457 since +1",
            "7.91 complete to 7f7dc74457",
        ],
    }],
    ending: "\
deployment/api complete, hashes 1, outdated 0, pods 3
  7f7dc74457 (revision 2, current): 3 active, 3 ready
  app (template): digests 1
    7f7dc74457 (template): digests 1, 3 × registry.example/restart/api:prod ed601145
  asks for app: registry.example/restart/api:prod (tag, Always)
",
    speed: 3.0,
};

/// Scaled from 2 to 8 between 2.44 and 4.5, which is not a rollout.
pub const DIGEST_SKEW: Scenario = Scenario {
    name: "digest-skew",
    courses: &[Course { workload_type: "deployment", workload: "web", phases: &["0.04 complete to 658465cf6d"] }],
    ending: "\
deployment/web complete, hashes 1, outdated 0, pods 8
  658465cf6d (revision 1, current): 8 active, 8 ready
  app (template): digests 2, skewed since +4, skewed pods 8
    658465cf6d (template): digests 2, 6 × registry.example/skew/web:production-latest 16a06063, \
2 × registry.example/skew/web:production-latest 45ba8ee8
  asks for app: registry.example/skew/web:production-latest (tag, IfNotPresent)
",
    speed: 3.0,
};

pub const STUCK: Scenario = Scenario {
    name: "stuck",
    courses: &[Course {
        workload_type: "deployment",
        workload: "api",
        phases: &[
            "0.05 complete to 66df86594d",
            "1.49 progressing to nothing",
            "1.50 progressing to 55558b5db8 since +1",
            "14.18 stalled to 55558b5db8 since +1",
        ],
    }],
    ending: "\
deployment/api stalled since +1, hashes 2 since +1, outdated 3, pods 5
  55558b5db8 (revision 2, current): 2 active, 0 ready
  66df86594d (revision 1): 3 active, 3 ready
  app (template): digests 1, 2 not_started
    55558b5db8 (template): digests 0
    66df86594d (template): digests 1, 3 × registry.example/stuck/api:v1 bfa606e5
  asks for app: registry.example/stuck/api:broken (tag, IfNotPresent)
",
    speed: 4.0,
};

pub const PAUSED: Scenario = Scenario {
    name: "paused",
    courses: &[Course {
        workload_type: "deployment",
        workload: "api",
        phases: &[
            "0.09 complete to cf4479f4d",
            "1.54 progressing to nothing",
            "1.55 progressing to 765f5f5f9c",
            "2.64 paused to 765f5f5f9c since +1",
        ],
    }],
    ending: "\
deployment/api paused since +1, hashes 2 since +1, outdated 5, pods 8
  765f5f5f9c (revision 2, current): 3 active, 3 ready
  cf4479f4d (revision 1): 5 active, 5 ready
  app (template): digests 2
    765f5f5f9c (template): digests 1, 3 × registry.example/paused/api:v2 cdaa0699
    cf4479f4d (template): digests 1, 5 × registry.example/paused/api:v1 3fa15107
  asks for app: registry.example/paused/api:v2 (tag, IfNotPresent)
",
    speed: 3.0,
};

/// The template changes at 1.77. The new ReplicaSet is created at 4.85, once the old pods are gone: no hash is current
/// until then.
pub const RECREATE: Scenario = Scenario {
    name: "recreate",
    courses: &[Course {
        workload_type: "deployment",
        workload: "api",
        phases: &[
            "0.07 complete to 69dc96bbcc",
            "1.77 progressing to nothing since +1",
            "4.85 progressing to 7b6b986cd8 since +1",
            "6.88 complete to 7b6b986cd8",
        ],
    }],
    ending: "\
deployment/api complete, hashes 1, outdated 0, pods 3
  7b6b986cd8 (revision 2, current): 3 active, 3 ready
  app (template): digests 1
    7b6b986cd8 (template): digests 1, 3 × registry.example/recreate/api:v1 a6a062d7
  asks for app: registry.example/recreate/api:v1 (tag, IfNotPresent)
",
    // The age counts from the time when podskew saw the change.
    speed: 1.0,
};

pub const STATEFULSET_PARTITION: Scenario = Scenario {
    name: "statefulset-partition",
    courses: &[Course {
        workload_type: "statefulset",
        workload: "db",
        phases: &[
            "0.11 complete to db-b6cf5499c",
            "1.76 progressing to nothing",
            "1.79 progressing to db-59d68bbcc4 since +1",
            "6.82 partitioned to db-59d68bbcc4 since +1",
        ],
    }],
    ending: "\
statefulset/db partitioned since +1, hashes 2 since +4, outdated 0, pods 4
  db-59d68bbcc4 (revision 2, current): 2 active, 2 ready
  db-b6cf5499c (revision 1): 2 active, 2 ready
  db (template): digests 2
    db-59d68bbcc4 (template): digests 1, 2 × registry.example/data/db:15 9ee48410
    db-b6cf5499c (template): digests 1, 2 × registry.example/data/db:14 dd13de6a
  asks for db: registry.example/data/db:15 (tag, IfNotPresent)
",
    speed: 3.0,
};

/// `agent` is undone at 40.44, which gives its first ControllerRevision the highest number. The undo is in progress at the
/// end.
pub const DAEMONSET: Scenario = Scenario {
    name: "daemonset",
    courses: &[
        Course {
            workload_type: "daemonset",
            workload: "agent",
            phases: &[
                "0.06 complete to 589fdf768c",
                "1.96 progressing to nothing",
                "2.00 progressing to 6f5d48fb6b since +1",
                "17.10 complete to 6f5d48fb6b",
                "40.44 progressing to 589fdf768c since +40",
            ],
        },
        Course {
            workload_type: "daemonset",
            workload: "cni",
            phases: &[
                "0.06 complete to 5974ffc7cd",
                "2.11 on_delete to nothing",
                "2.11 on_delete to 6d895c9fc9 since +1",
            ],
        },
    ],
    ending: "\
daemonset/agent progressing since +40, hashes 2 since +43, outdated 1, pods 4
  589fdf768c (revision 3, current): 3 active, 2 ready
  6f5d48fb6b (revision 2): 1 active, 1 ready
  agent (template): digests 2, 1 not_started
    589fdf768c (template): digests 1, 2 × registry.example/node/agent:1 49641b3b
    6f5d48fb6b (template): digests 1, 1 × registry.example/node/agent:2 8fc48b63
  asks for agent: registry.example/node/agent:1 (tag, IfNotPresent)
daemonset/cni on_delete since +1, hashes 2 since +8, outdated 3, pods 4
  5974ffc7cd (revision 1): 3 active, 3 ready
  6d895c9fc9 (revision 2, current): 1 active, 1 ready
  cni (template): digests 2
    5974ffc7cd (template): digests 1, 3 × registry.example/node/cni:1 72116148
    6d895c9fc9 (template): digests 1, 1 × registry.example/node/cni:2 a137131b
  asks for cni: registry.example/node/cni:2 (tag, IfNotPresent)
",
    speed: 5.0,
};

/// A Deployment whose image cannot be pulled is deleted at 47.65 and recreated with its name: a separate rollout (row 51).
pub const SAME_NAME_STUCK: Scenario = Scenario {
    name: "same-name-stuck",
    courses: &[Course {
        workload_type: "deployment",
        workload: "api",
        phases: &[
            "7.33 progressing to nothing",
            "7.33 progressing to 647b89d9",
            "47.65 no rollout to nothing",
            "47.73 progressing to nothing",
            "47.73 progressing to 647b89d9 since +47",
        ],
    }],
    ending: "\
deployment/api progressing since +47, hashes 1, outdated 0, pods 3
  647b89d9 (revision 1, current): 3 active, 0 ready
  app (template): digests 0, 3 not_started
    647b89d9 (template): digests 0
  asks for app: registry.example/replstuck/api:broken (tag, IfNotPresent)
",
    speed: 4.0,
};

/// A Deployment in digest skew is deleted at 5.01 and recreated with its name: the new skew is as old as the new pods.
pub const SAME_NAME_SKEW: Scenario = Scenario {
    name: "same-name-skew",
    courses: &[Course {
        workload_type: "deployment",
        workload: "api",
        phases: &[
            "0.00 complete to f6c6bdd8c",
            "5.01 no rollout to nothing",
            "5.10 progressing to nothing",
            "5.12 progressing to f6c6bdd8c since +5",
            "6.35 complete to f6c6bdd8c",
        ],
    }],
    ending: "\
deployment/api complete, hashes 1, outdated 0, pods 10
  f6c6bdd8c (revision 1, current): 10 active, 10 ready
  app (template): digests 2, skewed since +5, skewed pods 10
    f6c6bdd8c (template): digests 2, 2 × registry.example/replskew/api:prod 9f375b04, 8 × registry.example/replskew/api:prod 982cbbc1
  asks for app: registry.example/replskew/api:prod (tag, IfNotPresent)
",
    speed: 4.0,
};

/// A paused Deployment is deleted at 15.03 and recreated with its name.
pub const SAME_NAME_PAUSED: Scenario = Scenario {
    name: "same-name-paused",
    courses: &[Course {
        workload_type: "deployment",
        workload: "d-13",
        phases: &[
            "0.00 paused to nothing",
            "15.03 no rollout to nothing",
            "15.09 progressing to nothing",
            "15.51 progressing to 7cf9f5b459 since +15",
        ],
    }],
    ending: "\
deployment/d-13 progressing since +15, hashes 1, outdated 0, pods 4
  7cf9f5b459 (revision 1, current): 4 active, 1 ready
  app (template): digests 1
    7cf9f5b459 (template): digests 1, 4 × registry.example/churn/d13:v4 fa655dda
  asks for app: registry.example/churn/d13:v4 (tag, IfNotPresent)
",
    speed: 1.0,
};

/// A template waits for the end of a pause from 3.65 to 43.91, and its ReplicaSet is created two and a half seconds later
/// (row 52).
pub const RESUMED_LATE: Scenario = Scenario {
    name: "resumed-late",
    courses: &[Course {
        workload_type: "deployment",
        workload: "api",
        phases: &[
            "0.00 complete to 696cbd7c7d",
            "3.65 paused to nothing",
            "43.91 progressing to nothing since +43",
            "46.45 progressing to 78c6f8c449",
        ],
    }],
    ending: "\
deployment/api progressing, hashes 2, outdated 3, pods 4
  696cbd7c7d (revision 1): 3 active, 3 ready
  78c6f8c449 (revision 2, current): 1 active, 0 ready
  app (template): digests 2
    696cbd7c7d (template): digests 1, 3 × registry.example/resumed/api:v1 a935005d
    78c6f8c449 (template): digests 1, 1 × registry.example/resumed/api:v2 54370e65
  asks for app: registry.example/resumed/api:v2 (tag, IfNotPresent)
",
    speed: 1.0,
};

pub const ALL: [Scenario; 12] = [
    ROLLOUT,
    RESTART_MOVED_TAG,
    DIGEST_SKEW,
    STUCK,
    PAUSED,
    RECREATE,
    STATEFULSET_PARTITION,
    DAEMONSET,
    SAME_NAME_STUCK,
    SAME_NAME_SKEW,
    SAME_NAME_PAUSED,
    RESUMED_LATE,
];
