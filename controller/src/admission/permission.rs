//! Who may use a definition: whoever may read it (rows OPS-203, MC-017).

use caravel_apiserver::Identity;
use caravel_core::api::{Application, SYSTEM_NAMESPACE};
use caravel_core::appfile::{Finding, FindingKind, Use, base_name, uses};
use futures::future::join_all;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};

use super::OamAdmission;
use crate::application::LiveSource;
use crate::definition::Kind;

/// The definitions that a user may not use, each told at its first use.
pub(crate) async fn findings(
    admission: &OamAdmission,
    application: &Application,
    source: &LiveSource,
    user: &Identity,
) -> Vec<Finding> {
    if user.is_master() {
        return Vec::new();
    }
    let mut asked: Vec<(Use, &str)> = Vec::new();
    let namespace = application
        .metadata
        .namespace
        .as_deref()
        .unwrap_or_default();
    for used in uses(application, source) {
        let name = base_name(&used.type_);
        let is_there = |place: &&str| {
            let library = &admission.library;
            library.definition(used.kind, place, name).is_some()
        };
        // What nobody defines is told of elsewhere.
        let Some(place) = [namespace, SYSTEM_NAMESPACE].into_iter().find(is_there) else {
            continue;
        };
        let is_same = |known: &(Use, &str)| {
            known.0.kind == used.kind && base_name(&known.0.type_) == name && known.1 == place
        };
        if !asked.iter().any(is_same) {
            asked.push((used, place));
        }
    }
    let answers = asked
        .iter()
        .map(|(used, place)| may_read(admission, used, place, user));
    let answers = join_all(answers).await;
    let refused = asked.iter().zip(answers).filter_map(|(asked, answer)| {
        let (used, place) = asked;
        let message = match answer {
            Ok(true) => return None,
            Ok(false) => format!("{} may not use the definition `{}`", user.user, used.type_),
            Err(error) => format!(
                "it is not known whether {} may use the definition `{}`: {error}",
                user.user, used.type_
            ),
        };
        Some(
            Finding::new(FindingKind::Forbidden, &used.path, message)
                .expected(format!("the right to get {} in {place}", plural(used)), "")
                .hint("ask an administrator for a Role with the verb `get` on the definition"),
        )
    });
    refused.collect()
}

fn plural(used: &Use) -> &'static str {
    Kind::defining(used.kind).map_or("workloaddefinitions", |kind| kind.plural)
}

async fn may_read(
    admission: &OamAdmission,
    used: &Use,
    place: &str,
    user: &Identity,
) -> kube::Result<bool> {
    let question = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(user.user.clone()),
            uid: Some(user.uid.clone()),
            groups: Some(user.groups.clone()),
            extra: Some(user.extra.clone()),
            resource_attributes: Some(ResourceAttributes {
                verb: Some("get".to_owned()),
                group: Some(caravel_core::api::GROUP.to_owned()),
                resource: Some(plural(used).to_owned()),
                namespace: Some(place.to_owned()),
                name: Some(base_name(&used.type_).to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let api: Api<SubjectAccessReview> = Api::all(admission.client.clone());
    let answer = api.create(&PostParams::default(), &question).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}
