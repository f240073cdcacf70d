//! Images that cannot be pulled. The registry's message decides, since the kubelet's reason is the same for all.

use crate::cluster::diagnose::matcher::When;
use crate::cluster::diagnose::rule::Rule;
use crate::event::Severity;

const PULL: &[&str] = &["ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "SignatureValidationFailed"];

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "image-rate-limited",
        cause: "the registry limits the rate of pulls and rejects {image} for now",
        hint: "wait, set a pull secret under values.{component}, or images.registry to a registry with copies, in the answers",
        ..pull(&["429", "toomanyrequests", "rate limit"])
    },
    Rule {
        id: "image-wrong-architecture",
        severity: Severity::Fatal,
        lasts: 20,
        cause: "image {image} does not exist for the architecture of the node of pod {name}",
        hint: "choose a tag that has this architecture, or exclude these nodes with a nodeSelector, under values.{component} in the answers",
        ..pull(&["no match for platform", "no matching manifest"])
    },
    Rule {
        id: "image-registry-unreachable",
        lasts: 20,
        cause: "the node of pod {name} cannot reach the registry of {image}",
        hint: "check DNS, proxy and firewall of the nodes, or set images.registry in the answers to a registry with copies",
        ..pull(&[
            "no such host",
            "i/o timeout",
            "connection refused",
            "x509:",
            "TLS handshake",
            "network is unreachable",
            "deadline exceeded",
        ])
    },
    Rule {
        id: "image-unauthorized",
        severity: Severity::Fatal,
        lasts: 30,
        cause: "the registry denies {image} to the node of pod {name}",
        hint: "set a pull secret or another registry for the image under values.{component} in the answers",
        ..pull(&["401", "403", "unauthorized", "denied", "authentication required", "no basic auth", "forbidden"])
    },
    Rule {
        id: "image-not-found",
        severity: Severity::Fatal,
        lasts: 30,
        cause: "image {image} does not exist in its registry",
        hint: "correct its tag or registry under values.{component} in the answers, then run the same command again",
        ..pull(&["not found", "manifest unknown", "notfound", "name unknown", "does not exist"])
    },
    Rule {
        id: "image-name-invalid",
        severity: Severity::Fatal,
        when: When::Waiting(&["InvalidImageName"], &[]),
        cause: "{image} is not a valid image name",
        hint: "correct the image under values.{component} in the answers, then run the same command again",
        ..Rule::BLANK
    },
    Rule {
        id: "image-never-pulled",
        severity: Severity::Fatal,
        lasts: 10,
        when: When::Waiting(&["ErrImageNeverPull"], &[]),
        cause: "image {image} is not on the node of pod {name}, and its pull policy is Never",
        hint: "load the image on every node, or set its pullPolicy to IfNotPresent under values.{component} in the answers",
        ..Rule::BLANK
    },
    Rule {
        id: "image-pull-failing",
        severity: Severity::Fatal,
        lasts: 120,
        cause: "image {image} cannot be pulled for pod {name}",
        hint: "see `kubectl -n {namespace} describe pod {name}`; values.{component} in the answers can set another registry",
        ..pull(&[])
    },
];

const fn pull(phrases: &'static [&'static str]) -> Rule {
    Rule { when: When::Waiting(PULL, phrases), ..Rule::BLANK }
}
