//! The URL table: path to page. Nothing else knows a path by heart but links.

use crate::pages::{
    access::AccessPage, account::AccountPage, board::BoardPage, build::BuildPage,
    builds::BuildsPage, configuration::ConfigurationPage, environment::EnvironmentPage,
    environments::EnvironmentsPage, first_admin::FirstAdminPage, history::HistoryPage,
    invitation::InvitationPage, invitations::InvitationsPage, logs::LogsPage,
    new_release::NewReleasePage, new_service::NewServicePage, not_found::NotFound,
    people::PeoplePage, person::PersonPage, project::ProjectPage,
    project_builds::ProjectBuildsPage, projects::ProjectsPage, promotion::PromotionPage,
    registries::RegistriesPage, release::ReleasePage, rollout::RolloutPage, search::SearchPage,
    service::ServicePage, service_edit::ServiceEditPage, sign_in::SignInPage, source::SourcePage,
    target::TargetPage, targets::TargetsPage,
};
use leptos::prelude::*;
use leptos_router::{
    SsrMode,
    components::{Route, Routes},
    path,
};

/// Draws the page of the address. Every page is sent whole (`Async`), so that its status is right
/// and it can be read before, or without, the wasm.
#[component]
pub fn Pages() -> impl IntoView {
    view! {
        <Routes fallback=NotFound>
            <Route path=path!("/") view=BoardPage ssr=SsrMode::Async />
            <Route path=path!("/sign-in") view=SignInPage ssr=SsrMode::Async />
            <Route path=path!("/first-admin") view=FirstAdminPage ssr=SsrMode::Async />
            <Route path=path!("/services/new") view=NewServicePage ssr=SsrMode::Async />
            <Route path=path!("/search") view=SearchPage ssr=SsrMode::Async />
            <Route path=path!("/projects") view=ProjectsPage ssr=SsrMode::Async />
            <Route path=path!("/projects/:project") view=ProjectPage ssr=SsrMode::Async />
            <Route
                path=path!("/projects/:project/services/:service")
                view=ServicePage
                ssr=SsrMode::Async
            />
            <Route
                path=path!("/projects/:project/services/:service/edit")
                view=ServiceEditPage
                ssr=SsrMode::Async
            />
            <Route
                path=path!("/projects/:project/services/:service/releases/new")
                view=NewReleasePage
                ssr=SsrMode::Async
            />
            <Route
                path=path!("/projects/:project/services/:service/logs")
                view=LogsPage
                ssr=SsrMode::Async
            />
            <Route
                path=path!("/projects/:project/services/:service/source")
                view=SourcePage
                ssr=SsrMode::Async
            />
            <Route
                path=path!("/projects/:project/builds")
                view=ProjectBuildsPage
                ssr=SsrMode::Async
            />
            <Route path=path!("/builds") view=BuildsPage ssr=SsrMode::Async />
            <Route path=path!("/builds/:id") view=BuildPage ssr=SsrMode::Async />
            <Route
                path=path!("/projects/:project/services/:service/configuration")
                view=ConfigurationPage
                ssr=SsrMode::Async
            />
            <Route
                path=path!("/projects/:project/services/:service/promote/:environment")
                view=PromotionPage
                ssr=SsrMode::Async
            />
            <Route path=path!("/releases/:id") view=ReleasePage ssr=SsrMode::Async />
            <Route path=path!("/rollouts/:id") view=RolloutPage ssr=SsrMode::Async />
            <Route path=path!("/history") view=HistoryPage ssr=SsrMode::Async />
            <Route path=path!("/people") view=PeoplePage ssr=SsrMode::Async />
            <Route
                path=path!("/people/invitations")
                view=InvitationsPage
                ssr=SsrMode::Async
            />
            <Route path=path!("/people/:id") view=PersonPage ssr=SsrMode::Async />
            <Route path=path!("/access") view=AccessPage ssr=SsrMode::Async />
            <Route path=path!("/invitation") view=InvitationPage ssr=SsrMode::Async />
            <Route path=path!("/environments") view=EnvironmentsPage ssr=SsrMode::Async />
            <Route path=path!("/targets") view=TargetsPage ssr=SsrMode::Async />
            <Route path=path!("/targets/:id") view=TargetPage ssr=SsrMode::Async />
            <Route path=path!("/registries") view=RegistriesPage ssr=SsrMode::Async />
            <Route
                path=path!("/environments/:environment")
                view=EnvironmentPage
                ssr=SsrMode::Async
            />
            <Route path=path!("/account") view=AccountPage ssr=SsrMode::Async />
        </Routes>
    }
}
