//! Where the code of a service is and how its image is made: what is there is asked of git itself, and
//! the recipe is guessed and explained before anything is saved.

mod given;

use crate::{
    api::{
        Answer, ApiError,
        builds::{self, EditSource, GuessRecipe, LookUpRefs},
        typed::escaped,
    },
    components::{
        build_form::{self, BuildForms, OFFERED},
        build_trends::BuildTrends,
        builds::BuildTable,
        failure::NotForYou,
        field::{Checkbox, Field, TextField, reads},
        form::{Form, Send},
        inquiry,
        loaded::{Awaited, Loaded},
        when::Ago,
    },
    format,
    live::{Topics, live},
};
use domain::{
    build::{SIZE_BUDGET_BYTES, Source, view::SourcePage as Page},
    error::Problem,
    name::Name,
    source::{
        ArgumentName, FilePath, Folder, GitRef, GitUrl, Platform, Recipe, RecipeGuess, Refs,
        StageName,
    },
    view::{InquiryAnswer, InquiryPage},
};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::{use_location, use_params_map, use_query_map};

/// How many branches and tags are offered; any other can be typed.
const MOST_OFFERED: usize = 200;

/// What the forms of this page do.
#[derive(Clone, Copy)]
struct Acts {
    edit: ServerAction<EditSource>,
    refs: ServerAction<LookUpRefs>,
    guess: ServerAction<GuessRecipe>,
}

/// The page. The inquiry is loaded apart, so that following it does not touch the forms.
#[component]
pub fn SourcePage() -> impl IntoView {
    let acts =
        Acts { edit: ServerAction::new(), refs: ServerAction::new(), guess: ServerAction::new() };
    build_form::provide();
    let params = use_params_map();
    let names = Memo::new(move |_| {
        params.with(|params| {
            let named = |part: &str| params.get_str(part)?.parse::<Name>().ok();
            named("project").zip(named("service"))
        })
    });
    let page = Resource::new_blocking(
        move || names.get(),
        |names| async move {
            match names {
                Some((project, service)) => builds::source(project, service).await,
                None => Err(ApiError::from(Problem::not_found("service"))),
            }
        },
    );
    let inquiry = inquiry::follow();
    // What is typed here must not be drawn anew, so that nothing is asked again by rows.
    let live = live();
    Effect::new(move |_| {
        if let Some(Ok(page)) = page.get() {
            live.follow(page.number, Topics::Rows);
        }
    });
    view! {
        <Loaded
            page=page
            draw=move |page: Page| view! { <Draw page inquiry acts /> }.into_any()
        />
    }
}

#[component]
fn Draw(page: Page, inquiry: Resource<Answer<Option<InquiryPage>>>, acts: Acts) -> impl IntoView {
    let home = format!("/projects/{}/services/{}", page.project, page.service);
    let crumb = format!("{} / {}", page.project, page.service);
    let (trend, builds) = (page.trend.clone(), page.builds.clone());
    let budget = page.source.as_ref().map_or(SIZE_BUDGET_BYTES, |source| source.size_budget_bytes);
    let ended: Vec<_> = builds.into_iter().filter(|row| row.phase.is_end()).collect();
    let (may_edit, may_build) = (page.may_edit, page.may_build);
    let here = format!("{home}/source");
    view! {
        <Title text=format!("Source of {}", page.service) />
        <div class="title">
            <div>
                <p class="crumb">
                    <a href=home.clone()>{crumb}</a>
                </p>
                <h1>{format!("Source of {}", page.service)}</h1>
            </div>
            <div class="actions">
                <BuildForms page=page.clone() />
            </div>
        </div>
        <p class="lead">
            "The next build is made of this. A build that is under way, and releases, keep what they were made of."
        </p>
        <div class="sections">
            {if may_edit {
                view! { <Edit page=page.clone() home action=acts.edit inquiry /> }.into_any()
            } else {
                view! { <NotForYou what="Changing the source" role="deployer" /> }.into_any()
            }}
            {(may_edit || may_build)
                .then(|| view! { <Ask page=page.clone() here inquiry acts /> })}
        </div>
        <given::GivenToBuilds service=page.service_id />
        <BuildTrends points=trend size_budget_bytes=budget />
        {(!ended.is_empty())
            .then(|| {
                view! {
                    <section>
                        <h2>"Builds"</h2>
                        <BuildTable rows=ended of_one=true />
                    </section>
                }
            })}
    }
}

/// The settings. What was just looked at stands in them already.
#[component]
fn Edit(
    page: Page,
    home: String,
    action: ServerAction<EditSource>,
    inquiry: Resource<Answer<Option<InquiryPage>>>,
) -> impl IntoView {
    let here = Here::now();
    let source = page.source;
    let recipe = source.as_ref().map(|source| Typed::of(&source.recipe)).unwrap_or_default();
    let no_cache = recipe.no_cache;
    let known = |of: fn(&Source) -> String| source.as_ref().map(of).unwrap_or_default();
    let url = or(here.url, known(|source| source.url.to_string()));
    let at =
        or(or(here.git_ref, known(|source| source.default_ref.to_string())), "main".to_owned());
    let (folder, file) = (or(here.folder, recipe.folder), or(here.file, recipe.file));
    let budget = source.as_ref().map_or(SIZE_BUDGET_BYTES, |source| source.size_budget_bytes) >> 20;
    let hidden = vec![("service", page.service_id.to_string()), ("back", home.clone())];
    view! {
        <section aria-labelledby="where">
            <h2 id="where">"Where the code is"</h2>
            <Form action hidden>
                <Field
                    name="url"
                    label="Git address"
                    value=url
                    hint="https, without a name or password in it (a login is given below); or a folder of this machine that an admin allowed."
                    placeholder="https://git.example/shop/web.git"
                    check={reads::<GitUrl>}
                    required=true
                    mono=true
                />
                <div class="row">
                    <Field
                        name="default_ref"
                        label="Usually built"
                        value=at
                        hint="Branch, tag or commit."
                        check={reads::<GitRef>}
                        list=OFFERED
                        required=true
                        mono=true
                    />
                    <Field
                        name="folder"
                        label="Folder"
                        value=folder
                        hint="Of the repository. Empty: all of it."
                        check={reads::<Folder>}
                        mono=true
                    />
                </div>
                <div class="row">
                    <Field
                        name="file"
                        label="Recipe"
                        value=file
                        hint="Empty: Containerfile or Dockerfile of the folder."
                        check={reads::<FilePath>}
                        mono=true
                    />
                    <Field
                        name="stage"
                        label="Stage"
                        value=recipe.stage
                        hint="Empty: the last one."
                        check={reads::<StageName>}
                        mono=true
                    />
                </div>
                <TextField
                    name="arguments"
                    label="Build arguments"
                    value=recipe.arguments
                    hint="One a line, NAME=value. They stay in the image's history: secrets are below."
                    mono=true
                />
                <div class="row">
                    <Field
                        name="platform"
                        label="Platform"
                        value=recipe.platform
                        hint="Empty: this machine's own."
                        placeholder="linux/arm64"
                        check={reads::<Platform>}
                        mono=true
                    />
                    <Field
                        name="size_budget_mib"
                        label="Size budget"
                        value=budget.to_string()
                        hint="MiB. A larger image is said on its release."
                        inputmode="numeric"
                    />
                </div>
                <Checkbox
                    name="no_cache"
                    label="Build everything anew each time"
                    checked=no_cache
                    hint="Nothing of an earlier build is taken over."
                />
                <div class="buttons">
                    <Send label="Save" sending="Saving …" class="primary" />
                    <a class="button" href=home>
                        "Cancel"
                    </a>
                </div>
            </Form>
            <Names inquiry />
        </section>
    }
}

/// Asks git what is there.
#[component]
fn Ask(
    page: Page,
    here: String,
    inquiry: Resource<Answer<Option<InquiryPage>>>,
    acts: Acts,
) -> impl IntoView {
    let at_first = Here::now();
    let source = page.source.as_ref();
    let known = |of: fn(&Source) -> String| source.map(of).unwrap_or_default();
    let url = or(at_first.url, known(|source| source.url.to_string()));
    let at =
        or(or(at_first.git_ref, known(|source| source.default_ref.to_string())), "main".to_owned());
    let folder = or(at_first.folder, known(|source| source.recipe.folder.to_string()));
    let hidden = vec![("service", page.service_id.to_string()), ("back", here.clone())];
    let (refs, also) = (hidden.clone(), url.clone());
    let found = move |inquiry: Option<InquiryPage>| {
        inquiry.map(|inquiry| view! { <Found inquiry /> }).into_any()
    };
    view! {
        <section aria-labelledby="look">
            <h2 id="look">"What is there"</h2>
            <Form action=acts.guess hidden stays=true>
                <Field
                    name="url"
                    label="Look at"
                    value=url
                    hint="Nothing is saved and nothing is built by looking."
                    check={reads::<GitUrl>}
                    required=true
                    mono=true
                />
                <div class="row">
                    <Field
                        name="git_ref"
                        label="At"
                        value=at
                        hint="Branch, tag or commit."
                        check={reads::<GitRef>}
                        list=OFFERED
                        mono=true
                    />
                    <Field
                        name="folder"
                        label="In the folder"
                        value=folder
                        hint="Empty: all of it."
                        check={reads::<Folder>}
                        mono=true
                    />
                </div>
                <div class="buttons">
                    <Send label="What would be built?" sending="Asking …" />
                </div>
            </Form>
            <Form action=acts.refs hidden=refs class="inline offers" stays=true>
                <input type="hidden" name="url" value=also />
                <Send label="Which branches and tags?" sending="Asking …" />
            </Form>
            <Loaded page=inquiry draw=found />
        </section>
    }
}

/// What git said, or that it is being asked.
#[component]
fn Found(inquiry: InquiryPage) -> impl IntoView {
    match inquiry.answer {
        InquiryAnswer::Waiting => {
            let location = use_location();
            let here = format!(
                "{}{}",
                location.pathname.get_untracked(),
                location.query.get_untracked().to_query_string()
            );
            view! {
                <p class="waiting" role="status">
                    "git is being asked, since " <Ago at=inquiry.asked_at /> "."
                </p>
                <p>
                    <a class="button small" href=here>
                        "Look again"
                    </a>
                </p>
            }
            .into_any()
        }
        InquiryAnswer::Refs(refs) => view! { <RefsFound refs /> }.into_any(),
        InquiryAnswer::Recipe(guess) => view! { <Guessed guess /> }.into_any(),
        InquiryAnswer::Refused { why } => view! {
            <div class="notice bad">
                <p>
                    <strong>{why}</strong>
                </p>
                <p>"Nothing was changed. Correct the address, and look again."</p>
            </div>
        }
        .into_any(),
        _ => view! { <p class="soft">"What was found is too old: look again."</p> }.into_any(),
    }
}

/// Branches first, then tags: each is a link that puts it into the forms of this page.
#[component]
fn RefsFound(refs: Refs) -> impl IntoView {
    let said = format!(
        "{} and {}.",
        format::counted(refs.branches.len() as u64, "branch", "branches"),
        format::counted(refs.tags.len() as u64, "tag", "tags"),
    );
    let usual = refs.default.as_ref().map(|name| format!(" The usual one is {name}."));
    let more = (refs.left_out > 0).then(|| {
        let count = format::count(refs.left_out.into());
        format!(" {count} more are not listed; any of them can be typed.")
    });
    let here = Here::now();
    let chips = offered(&refs).map(move |name| {
        let chosen = here.git_ref == name;
        let href = Here { git_ref: name.clone(), ..here.clone() }.address();
        // The fields of this page are what the address says when it is loaded.
        view! {
            <a class="chip mono" href=href rel="external" aria-current=chosen.then_some("true")>
                {name}
            </a>
        }
    });
    view! {
        <p role="status">{said} {usual} {more}</p>
        <nav class="offered" aria-label="Branches and tags">
            {chips.collect_view()}
        </nav>
    }
}

/// What would be built, why, and the link that puts it into the settings.
#[component]
fn Guessed(guess: RecipeGuess) -> impl IntoView {
    let because = guess.because;
    let stages: Vec<String> = guess.stages.iter().map(ToString::to_string).collect();
    let arguments: Vec<String> = guess
        .arguments
        .iter()
        .map(|(name, value)| match value {
            Some(value) => format!("{name}={value}"),
            None => name.to_string(),
        })
        .collect();
    let takes = guess.recipe.map(|recipe| {
        let recipe = Typed::of(&recipe);
        let here = Here { folder: recipe.folder, file: recipe.file, ..Here::now() };
        view! {
            <p>
                <a class="button small" href=here.address() rel="external">
                    "Put this into the settings"
                </a>
            </p>
        }
    });
    let named = |what: &'static str, all: Vec<String>| {
        (!all.is_empty()).then(|| {
            view! {
                <p>
                    {what} <span class="mono">{all.join(", ")}</span>
                </p>
            }
        })
    };
    view! {
        <div class="guessed" role="status">
            <p>
                <b>{because}</b>
            </p>
            {named("Stages with a name: ", stages)} {named("It asks for: ", arguments)} {takes}
        </div>
    }
}

/// Branches and tags for the fields of this page.
#[component]
fn Names(inquiry: Resource<Answer<Option<InquiryPage>>>) -> impl IntoView {
    let draw = |found: Answer<Option<InquiryPage>>| match found {
        Ok(Some(InquiryPage { answer: InquiryAnswer::Refs(refs), .. })) => offered(&refs)
            .map(|name| view! { <option value=name></option> })
            .collect_view()
            .into_any(),
        _ => ().into_any(),
    };
    view! {
        <datalist id=OFFERED>
            <Awaited of=inquiry draw />
        </datalist>
    }
}

/// The names, branches first.
fn offered(refs: &Refs) -> impl Iterator<Item = String> {
    let all = refs.branches.iter().chain(&refs.tags);
    all.map(|one| one.name.to_string()).collect::<Vec<_>>().into_iter().take(MOST_OFFERED)
}

/// What the address says is to stand in the fields: what was just looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Here {
    path: String,
    inquiry: String,
    url: String,
    git_ref: String,
    folder: String,
    file: String,
}

impl Here {
    fn now() -> Self {
        let query = use_query_map().get_untracked();
        let word = |name: &str| query.get(name).unwrap_or_default();
        Self {
            path: use_location().pathname.get_untracked(),
            inquiry: word("inquiry"),
            url: word("url"),
            git_ref: word("git_ref"),
            folder: word("folder"),
            file: word("file"),
        }
    }

    fn address(&self) -> String {
        let pairs = [
            ("inquiry", &self.inquiry),
            ("url", &self.url),
            ("git_ref", &self.git_ref),
            ("folder", &self.folder),
            ("file", &self.file),
        ];
        let said: Vec<String> = pairs
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name}={}", escaped(value)))
            .collect();
        if said.is_empty() {
            self.path.clone()
        } else {
            format!("{}?{}", self.path, said.join("&"))
        }
    }
}

fn or(value: String, other: String) -> String {
    if value.is_empty() { other } else { value }
}

/// A recipe as it stands in the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Typed {
    folder: String,
    file: String,
    stage: String,
    arguments: String,
    platform: String,
    no_cache: bool,
}

impl Typed {
    fn of(recipe: &Recipe) -> Self {
        let word = |word: Option<String>| word.unwrap_or_default();
        let line = |(name, value): (&ArgumentName, &String)| format!("{name}={value}\n");
        Self {
            folder: recipe.folder.to_string(),
            file: word(recipe.file.as_ref().map(ToString::to_string)),
            stage: word(recipe.stage.as_ref().map(ToString::to_string)),
            arguments: recipe.arguments.iter().map(line).collect(),
            platform: word(recipe.platform.as_ref().map(ToString::to_string)),
            no_cache: recipe.no_cache,
        }
    }
}
