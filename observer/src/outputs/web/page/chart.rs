//! Episodes over time by verdict, as a drawing in the page.

use super::super::view::TimedEpisode;
use super::html::Html;
use crate::finding::Verdict;
use crate::time::Stamp;

const BARS: usize = 48;
const WIDTH: u64 = 576;
const HEIGHT: u64 = 120;
const SECOND: u64 = 1_000_000_000;
/// Spans that the chart may cover, in seconds, and their names.
const SPANS: [(u64, &str); 5] = [
    (900, "15 minutes"),
    (3_600, "hour"),
    (21_600, "6 hours"),
    (86_400, "day"),
    (604_800, "7 days"),
];

type Counts = [u64; Verdict::ALL.len()];

/// The section with the smallest span that holds every known episode.
pub fn section(html: &mut Html, episodes: &[TimedEpisode], now: Stamp) {
    let oldest = episodes.iter().map(|timed| timed.time).min().unwrap_or(now);
    let age = now.since(oldest) / SECOND;
    let (span, name) = SPANS
        .into_iter()
        .find(|(span, _)| *span > age)
        .unwrap_or((604_800, "7 days"));
    let bars = count(episodes, now, span);
    let totals = sum(&bars);

    html.raw(
        "<section class=\"card\" aria-labelledby=\"chart-title\"><div class=\"card-head\">\
         <h2 id=\"chart-title\">Verdicts over the last <span id=\"chart-span\">",
    );
    html.text(name).raw("</span></h2>");
    html.raw("<label class=\"span-choice\" hidden>Span <select id=\"span\">");
    for (seconds, title) in SPANS {
        html.raw("<option value=\"").text(seconds).raw("\"");
        html.raw(if seconds == span { " selected>" } else { ">" });
        html.text(title).raw("</option>");
    }
    html.raw("</select></label></div><svg id=\"chart\" class=\"chart\" viewBox=\"0 0 576 120\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"");
    html.text(spoken(&totals)).raw("\">");
    draw(html, &bars);
    html.raw("</svg><div class=\"axis\" aria-hidden=\"true\"><span id=\"chart-from\">");
    html.text(name).raw(" ago</span><span>now</span></div>");
    legend(html, &totals);
    html.raw("</section>");
}

fn count(episodes: &[TimedEpisode], now: Stamp, span: u64) -> Vec<Counts> {
    let mut bars = vec![Counts::default(); BARS];
    let width = span * SECOND / BARS as u64;
    for timed in episodes {
        let Ok(back) = usize::try_from(now.since(timed.time) / width) else {
            continue;
        };
        if let Some(bar) = BARS
            .checked_sub(back + 1)
            .and_then(|index| bars.get_mut(index))
        {
            bar[timed.episode.verdict as usize] += 1;
        }
    }
    bars
}

fn sum(bars: &[Counts]) -> Counts {
    bars.iter().fold(Counts::default(), |mut totals, bar| {
        for (total, count) in totals.iter_mut().zip(bar) {
            *total += count;
        }
        totals
    })
}

fn spoken(totals: &Counts) -> String {
    let words: Vec<String> = Verdict::ALL
        .into_iter()
        .rev()
        .map(|verdict| format!("{} {verdict}", totals[verdict as usize]))
        .collect();
    format!("Episodes: {}", words.join(", "))
}

/// Stacked bars, the worst at the bottom, so it is on one line.
fn draw(html: &mut Html, bars: &[Counts]) {
    let top = bars
        .iter()
        .map(|bar| bar.iter().sum::<u64>())
        .max()
        .unwrap_or(0)
        .max(4);
    let step = WIDTH / BARS as u64;
    for (index, bar) in (0_u64..).zip(bars) {
        let mut below = 0;
        for verdict in Verdict::ALL.into_iter().rev() {
            let count = bar[verdict as usize];
            if count == 0 {
                continue;
            }
            let base = HEIGHT - HEIGHT * below / top;
            below += count;
            let upper = HEIGHT - HEIGHT * below / top;
            html.raw("<rect class=\"")
                .text(verdict)
                .raw("\" x=\"")
                .text(index * step + 1);
            html.raw("\" y=\"")
                .text(upper)
                .raw("\" width=\"")
                .text(step - 2);
            html.raw("\" height=\"")
                .text((base - upper).max(1))
                .raw("\"/>");
        }
    }
}

fn legend(html: &mut Html, totals: &Counts) {
    html.raw("<ul class=\"legend\" id=\"legend\">");
    for verdict in Verdict::ALL.into_iter().rev() {
        html.raw("<li class=\"").text(verdict).raw("\"><b>");
        html.text(totals[verdict as usize])
            .raw("</b> ")
            .text(verdict)
            .raw("</li>");
    }
    html.raw("</ul>");
}
