//! `capwatch watch`: findings as they happen.

mod follow;

use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context, anyhow};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::broadcast::{Receiver, error::RecvError},
};

use super::args::{LineForm, Shown, Watch};
use crate::{
    agent::{Agent, Options},
    config::Rules,
    finding::{Event, EventKind, Verdict},
    ledger::{MAX_SERIES, NONE},
    outputs::{
        color::{Color, Tint},
        columns::Layout,
        recent::Recent,
        terminal::{self, Keys},
    },
    sources::bpf::{Attach, Choice},
    state::Shared,
};
use follow::Feed;

/// Where events come from.
enum Events {
    /// Programs of this process.
    Own(Receiver<Arc<Event>>, Arc<Shared>),
    /// An agent that runs.
    Followed(Feed),
}

impl Events {
    /// The next one, which may be waited for beside others; none when no more will come.
    async fn next(&mut self) -> anyhow::Result<Option<Arc<Event>>> {
        match self {
            Self::Own(events, shared) => loop {
                match events.recv().await {
                    Ok(event) => return Ok(Some(event)),
                    Err(RecvError::Lagged(count)) => shared.lose("output", "watch_lagged", count),
                    Err(RecvError::Closed) => return Ok(None),
                }
            },
            Self::Followed(feed) => {
                let event = feed.next().await?;
                let event =
                    event.with_context(|| format!("the agent at {} ended", feed.address))?;
                Ok(Some(Arc::new(event)))
            }
        }
    }
}

/// The agent to follow: the one that is named, or the one that has the pins, unless the
/// options ask for what only programs of one's own can show.
async fn followed(watch: &Watch, configured: bool) -> anyhow::Result<Option<Feed>> {
    if let Some(address) = &watch.web {
        return Feed::open(address).await.map(Some);
    }
    let attach: Attach = (&watch.attach).into();
    let own = watch.own || configured || !watch.audit.audit.is_empty();
    if own || attach.hooks != Choice::Auto || attach.object.is_some() {
        return Ok(None);
    }
    let feed = follow::of_pins(&watch.pin).await;
    if let Some(feed) = &feed {
        let address = &feed.address;
        eprintln!(
            "capwatch: showing what the agent at {address} sees; --own attaches separate programs"
        );
    }
    Ok(feed)
}

/// An agent within this process, and its findings.
fn attached(watch: &Watch, rules: Arc<Rules>) -> anyhow::Result<(Agent, Events)> {
    let mut agent = Agent::open(Options {
        audit: watch.audit.audit.clone(),
        series: MAX_SERIES,
        ..Options::new((&watch.attach).into(), rules)
    })?;
    if !agent.sees() {
        return Err(anyhow!(
            "nothing can be attached: run `capwatch doctor` for the reason"
        ));
    }
    let shared = agent.shared();
    for hook in shared.ledger().hooks.iter().filter(|hook| hook.is_missed()) {
        let reason = hook.reason.as_deref().unwrap_or("unknown reason");
        tracing::warn!("not attached: {}: {reason}", hook.hook);
    }
    let events = Events::Own(shared.subscribe(), shared);
    agent.adopt();
    Ok((agent, events))
}

/// Runs the command; `configured` is whether rules of the user's own were named.
pub async fn run(
    watch: Watch,
    rules: Arc<Rules>,
    configured: bool,
    color: Color,
) -> anyhow::Result<ExitCode> {
    let (agent, mut events) = if let Some(feed) = followed(&watch, configured).await? {
        (None, Events::Followed(feed))
    } else {
        let (agent, events) = attached(&watch, rules)?;
        (Some(agent), events)
    };
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut resized = signal(SignalKind::window_change())?;
    let mut resumed = signal(SignalKind::from_raw(libc::SIGCONT))?;
    let keys = Keys::take().context("cannot set the terminal")?;
    let leave = async {
        match &keys {
            Some(keys) => keys.leave().await,
            None => std::future::pending().await,
        }
    };
    let mut screen = Screen::new(watch.output, color);
    screen.greet(keys.is_some())?;

    let mut pump = std::pin::pin!(async {
        match agent {
            Some(mut agent) => agent.pump().await,
            None => std::future::pending().await,
        }
    });
    let mut leave = std::pin::pin!(leave);
    loop {
        let event = tokio::select! {
            result = &mut pump => {
                result.context("cannot read from the kernel")?;
                return Ok(ExitCode::SUCCESS);
            }
            event = events.next() => event?,
            _ = resized.recv() => {
                screen.measure();
                continue;
            }
            _ = resumed.recv() => {
                if let Some(keys) = &keys {
                    keys.set().context("cannot set the terminal")?;
                }
                screen.measure();
                continue;
            }
            () = &mut leave => return Ok(ExitCode::SUCCESS),
            _ = interrupt.recv() => return Ok(ExitCode::SUCCESS),
            _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
        };
        match event {
            Some(event) if wanted(&event, &watch) => screen.show(&event)?,
            Some(_) => {}
            None => return Ok(ExitCode::SUCCESS),
        }
    }
}

/// Where the lines go.
struct Screen {
    form: LineForm,
    color: bool,
    layout: Layout,
    /// Lines after which the heading is written again; none in a pipe.
    rows: Option<usize>,
    /// Lines since the heading; none before it.
    since_heading: Option<usize>,
    recent: Recent,
}

impl Screen {
    fn new(form: LineForm, color: Color) -> Self {
        let mut screen = Self {
            form,
            color: color.on(&io::stdout()),
            layout: Layout::piped(),
            rows: None,
            since_heading: None,
            recent: Recent::default(),
        };
        screen.measure();
        screen
    }

    /// Takes over the terminal's size: the next line comes in columns that fit.
    fn measure(&mut self) {
        if let Some((columns, rows)) = terminal::size(&io::stdout()) {
            self.layout = Layout::fit(columns);
            self.rows = Some(rows.saturating_sub(2).max(1));
            self.since_heading = None;
        }
    }

    fn greet(&mut self, keys: bool) -> io::Result<()> {
        if self.form == LineForm::Json {
            return Ok(());
        }
        let mut out = io::stdout();
        if self.rows.is_some() {
            let how = if keys { "q or Ctrl-C" } else { "Ctrl-C" };
            let hint = format!("capwatch: watching; {how} ends");
            writeln!(out, "{}", Tint::Dim.paint(hint, self.color))?;
        }
        self.head(&mut out)?;
        out.flush()
    }

    fn head(&mut self, out: &mut impl Write) -> io::Result<()> {
        self.since_heading = Some(0);
        writeln!(out, "{}", self.layout.heading(self.color))
    }

    fn show(&mut self, event: &Event) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        if self.form == LineForm::Json {
            serde_json::to_writer(&mut out, event)?;
            out.write_all(b"\n")?;
            return Ok(out.flush()?);
        }
        let again = self.recent.again(event, &self.layout);
        let Some(text) = again.or_else(|| self.layout.line(event, self.color)) else {
            return Ok(());
        };
        let lines = text.lines().count();
        let due = match (self.since_heading, self.rows) {
            (None, _) => true,
            (Some(since), Some(rows)) => since + lines > rows,
            (Some(_), None) => false,
        };
        if due {
            self.head(&mut out)?;
        }
        self.since_heading = self.since_heading.map(|since| since + lines);
        writeln!(out, "{text}")?;
        Ok(out.flush()?)
    }
}

/// Whether an event is of the verdicts, the capability and the container asked for.
/// What has none of them is left out where one is.
fn is_chosen(event: &Event, watch: &Watch) -> bool {
    let (verdict, capability, container) = match &event.kind {
        EventKind::Denial(denial) => (
            Some(Shown::Denied),
            Some(denial.capability.as_str()),
            denial.container.as_deref(),
        ),
        EventKind::Episode(episode) => (
            Some(match episode.verdict {
                Verdict::Fatal => Shown::Fatal,
                Verdict::Degraded => Shown::Degraded,
                Verdict::Pending => Shown::Pending,
                Verdict::Harmless => Shown::Harmless,
                Verdict::Ok => Shown::Ok,
            }),
            episode.first_refused.as_deref(),
            episode.container.as_deref(),
        ),
        EventKind::Audit(audit) => (None, audit.capability.as_deref(), None),
        EventKind::Supervisor(event) => (None, None, event.container.as_deref()),
        EventKind::RuleRefusal(refusal) => (
            (refusal.errno != 0).then_some(Shown::Denied),
            refusal.missing.first().map(String::as_str),
            refusal.container.as_deref(),
        ),
        EventKind::Loss(_) => return true,
    };
    let verdicts = &watch.verdict;
    let named = |wanted: &str| {
        let wanted = wanted.to_ascii_lowercase();
        let bare = wanted.strip_prefix("cap_").unwrap_or(&wanted);
        capability.is_some_and(|name| name == wanted || name == bare)
    };
    let within = |wanted: &str| {
        container.is_some_and(|container| {
            container.name.as_deref() == Some(wanted)
                || !wanted.is_empty() && container.id.starts_with(wanted)
        })
    };
    (verdicts.is_empty() || verdict.is_some_and(|verdict| verdicts.contains(&verdict)))
        && watch.capability.as_deref().is_none_or(named)
        && watch.container.as_deref().is_none_or(within)
}

fn wanted(event: &Event, watch: &Watch) -> bool {
    let (kind, supervisor) = match &event.kind {
        EventKind::Denial(denial) => (!watch.episodes, denial.supervisor.as_deref()),
        // By its own name, and as what no rule matches.
        EventKind::Episode(episode) => {
            let none = episode.inferred && watch.supervisor.as_deref() == Some(NONE);
            let name = episode.supervisor.as_deref().filter(|_| !none);
            (!watch.denials, name)
        }
        EventKind::Supervisor(event) => (
            !watch.denials && !watch.episodes,
            Some(event.supervisor.as_str()),
        ),
        EventKind::Audit(audit) => (
            !watch.denials && !watch.episodes,
            audit.supervisor.as_deref(),
        ),
        EventKind::RuleRefusal(refusal) => (
            !watch.denials && !watch.episodes,
            refusal.supervisor.as_deref(),
        ),
        // A loss concerns everyone who looks.
        EventKind::Loss(_) => return true,
    };
    let name = watch.supervisor.as_deref();
    kind && is_chosen(event, watch) && name.is_none_or(|name| name == supervisor.unwrap_or(NONE))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::{
        commands::args::{Cli, Task},
        finding::{Denial, SupervisorEvent},
        time::Stamp,
    };

    fn watch(words: &[&str]) -> Watch {
        let words = ["capwatch", "watch"].iter().chain(words);
        match Cli::try_parse_from(words).unwrap().task {
            Task::Watch(watch) => watch,
            _ => panic!("watch"),
        }
    }

    fn denial(container: &str) -> Event {
        let denial: Denial = serde_json::from_str(&format!(
            r#"{{"supervisor":null,"role":null,"container":{container},"comm":"c","exe":null,
            "pid":1,"capability":"net_admin","number":12,"layer":"commoncap","reason":null,
            "profile":null,"namespace":null,"target_namespace":null,"audited":"yes",
            "expected":false,"own_credentials":true,"via":"unknown","count":1,"exact":true,
            "logged":null,"leftover":null,"first":null,"last":null,"explanation":""}}"#
        ))
        .unwrap();
        Event::new(Stamp(1), EventKind::Denial(denial))
    }

    #[test]
    fn verdict_capability_and_container_choose() {
        let plain = denial("null");
        for (words, shown) in [
            (&[][..], true),
            (&["--verdict", "denied"], true),
            (&["--verdict", "fatal,degraded"], false),
            (&["--capability", "CAP_NET_ADMIN"], true),
            (&["--capability", "setpcap"], false),
            (&["--container", "web"], false),
        ] {
            assert_eq!(wanted(&plain, &watch(words)), shown, "{words:?}");
        }
        let supervisor = Event::new(Stamp(1), EventKind::Supervisor(SupervisorEvent::default()));
        assert!(!wanted(&supervisor, &watch(&["--verdict", "fatal"])));
    }
}
