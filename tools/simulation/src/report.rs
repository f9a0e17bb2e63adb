//! The report: tables of what came of the day, and the model that they stand on.

use std::fmt::Write;

use crate::model::{DAY_SECS, Model};
use crate::plots;
use crate::setting::SETTINGS;
use crate::tally::{Lateness, SOURCES, Source, Tally};
use crate::workload::Workload;

pub(crate) fn document(seed: u64, workload: &Workload, tallies: &[Tally]) -> String {
    let mut text = String::from(
        "# Simulation: a day at many data centres\n\n\
         This page is written by `make simulation`; the same seed writes the same page. The program \
         plays one day of made-up requests with the Worker's own decisions: what is looked up, \
         asked, stored, leased and served is what the code in `src` says. The stores, the readers \
         and the homeserver are models, described below.\n\n",
    );
    text += &summary(workload, tallies);
    text += &waiting(workload, tallies);
    text += &origin(workload, tallies);
    text += &tiers(tallies);
    text += &lateness(workload, tallies);
    text += &model(seed, workload);
    text += LIMITS;
    text
}

/// How much the edge spares the homeserver, at worst and at best of the settings.
fn summary(workload: &Workload, tallies: &[Tally]) -> String {
    let alone = workload.alone().body_bytes as f64;
    let requests = workload.requests.len() as u64;
    let extremes = |of: fn(&Tally) -> u64, has_bucket| {
        let values =
            tallies.iter().filter(|tally| tally.setting().has_bucket == has_bucket).map(of);
        (values.clone().min().unwrap_or(0), values.max().unwrap_or(0))
    };
    let times_less = |has_bucket| alone / extremes(|t| t.effort.body_bytes, has_bucket).1 as f64;
    let waited = |has_bucket| percent(extremes(|t| t.questioned, has_bucket).0, requests);
    format!(
        "{} requests. Without an edge the homeserver sends {:.1} GB for them; with caches at the \
         data centres {:.1} times less, with the bucket {:.1} times less. With the longest lease \
         {} of the requests still wait for the homeserver's word, {} with the bucket.\n\n",
        grouped(requests),
        alone / 1e9,
        times_less(false),
        times_less(true),
        waited(false),
        waited(true),
    )
}

/// Which readers wait for the homeserver before they are answered.
fn waiting(workload: &Workload, tallies: &[Tally]) -> String {
    let mut text = String::from(
        "## Who waits for the homeserver\n\n\
         A request waits if the homeserver has to be asked before it is answered. Of all requests, \
         and of those that end in media:\n\n\
         | Setting | All that wait | Of those that end in media | Questions to the homeserver |\n\
         |---|--:|--:|--:|\n",
    );
    for tally in tallies {
        let (effort, media) = (&tally.effort, tally.served_in_all().answers);
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            tally.setting(),
            percent(tally.questioned, workload.requests.len() as u64),
            percent(tally.questioned_for_media, media),
            grouped(effort.bodies + effort.words),
        );
    }
    text + "\n`media 24 h` and `media 72 h` are `MEDIA_LEASE_SECONDS` of a day and of three, with the \
            bucket: a grant about a media counts for that long while Synapse's list of quarantined \
            media, polled each minute, is up to date and does not name the media. The answer that \
            brought a stored body is such a grant too, at every data centre that the bucket serves. \
            What remains are tokens that have no grant of the last `LEASE_SECONDS`, media that is \
            read for the first time anywhere, and refusals. This day begins cold; no grant in it is \
            older than a day, so both settings come to nearly as much. A grant that is older than an \
            hour is renewed behind its reader: that is a question, and nobody waits for it.\n\n"
}

fn origin(workload: &Workload, tallies: &[Tally]) -> String {
    let alone = workload.alone();
    let mut text = format!(
        "## The homeserver's part\n\n![Bytes]({0}/{1})\n\n![Answers]({0}/{2})\n\n\
         | Setting | GB sent | Bodies sent | Answers without a body | Requests that waited for its word |\n\
         |---|--:|--:|--:|--:|\n\
         | no edge | {3:.2} | {4} | {5} | 100.0 % |\n",
        "simulation",
        plots::ORIGIN_BYTES,
        plots::ORIGIN_ANSWERS,
        alone.body_bytes as f64 / 1e9,
        grouped(alone.bodies),
        grouped(alone.words),
    );
    for tally in tallies {
        let effort = &tally.effort;
        let _ = writeln!(
            text,
            "| {} | {:.2} | {} | {} | {} |",
            tally.setting(),
            effort.body_bytes as f64 / 1e9,
            grouped(effort.bodies),
            grouped(effort.words),
            percent(tally.questioned, workload.requests.len() as u64),
        );
    }
    text + "\nA lease is renewed behind the client that it serves; these questions are counted as \
            answers, and nobody waits for them.\n\n"
}

fn tiers(tallies: &[Tally]) -> String {
    let mut text = format!(
        "## Where the media comes from\n\n![Sources]({}/{})\n\n\
         Of the answers with media, and of their bytes:\n\n\
         | Setting | memory | pop | bucket | origin | bytes: memory | pop | bucket | origin | bucket reads (class B) | writes (class A) |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
        "simulation",
        plots::SOURCES_OF_ANSWERS,
    );
    for tally in tallies {
        let all = tally.served_in_all();
        let shares = |of: fn(&Tally, Source) -> u64, all: u64| {
            SOURCES.map(|source| percent(of(tally, source), all)).join(" | ")
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            tally.setting(),
            shares(|tally, source| tally.served(source).answers, all.answers),
            shares(|tally, source| tally.served(source).bytes, all.bytes),
            grouped(tally.bucket_reads),
            grouped(tally.bucket_writes),
        );
    }
    text + "\n"
}

fn lateness(workload: &Workload, tallies: &[Tally]) -> String {
    let mut text = format!(
        "## For how long something refused is still read\n\n![Lateness]({}/{})\n\n\
         In the midst of being read, {} media are quarantined and {} tokens revoked, for {} s \
         each, and readers go on asking. How long after that the last byte was served, anywhere:\n\n\
         | Setting | | Still served at all | Answers | median | 90 % | 99 % | longest |\n\
         |---|---|--:|--:|--:|--:|--:|--:|\n",
        "simulation",
        plots::LATENESS,
        workload.model.quarantines,
        workload.model.revocations,
        workload.model.refused_secs,
    );
    for tally in tallies {
        for (what, lateness) in
            [("media", tally.quarantined(workload)), ("tokens", tally.revoked(workload))]
        {
            let _ = writeln!(text, "| {} | {what} | {} |", tally.setting(), windows(&lateness));
        }
    }
    text + "\nA lease counts from the question, in whole seconds, so no window is as long as the \
            lease. Where nothing was served late, the windows are 0. Token leases serve after a \
            revocation only what the media's own leases allow. With `media 24 h` or `media 72 h` a \
            quarantined media is served until the next poll has listed it and the isolate has read \
            the list, which takes less than 180 s whatever fails.\n\n"
}

fn windows(lateness: &Lateness) -> String {
    let seconds = |ms: u64| format!("{:.1} s", ms as f64 / 1000.0);
    let quantiles = [0.5, 0.9, 0.99].map(|part| seconds(lateness.quantile_ms(part))).join(" | ");
    format!(
        "{} of {} | {} | {quantiles} | {}",
        lateness.windows_ms.len(),
        lateness.events,
        grouped(lateness.answers),
        seconds(lateness.longest_ms()),
    )
}

fn model(seed: u64, workload: &Workload) -> String {
    let Model {
        pops,
        isolates,
        isolate_life_secs,
        pop_cache_bytes,
        media,
        media_exponent,
        readers,
        pop_exponent,
        away,
        sessions,
        session_requests,
        pause_secs,
        evening,
        ref representations,
        ..
    } = *workload.model;
    let mut text = format!(
        "## The model\n\n\
         - **Seed** {seed}; {} hours of virtual time.\n\
         - **Media**: {}, read by a Zipf distribution with exponent {media_exponent}, independently \
           of who reads. The files and their thumbnails weigh {:.1} GB in all.\n\
         - **Readers**: {}, each near one of {pops} data centres, which are chosen by a Zipf \
           distribution with exponent {pop_exponent}; a session is elsewhere with a probability of \
           {away}. {sessions:.1} sessions to a reader, {session_requests} requests to a session on \
           average (geometric), {pause_secs} s apart on average (exponential). A client asks for the \
           same thing once in a session. The evening is busier than the average by a factor of {}, \
           by the clock of the data centre.\n\
         - **A data centre** keeps {} MiB for this Worker and evicts what was used least recently. It \
           has {isolates} isolates; a request comes to any of them. Each lives for {} hours and then \
           begins anew, one after the other. Memory is the default, {} MiB.\n\
         - **The bucket** is never full and never fails.\n\
         - **The list of quarantined media** is polled each minute from the beginning of the day, and \
           no poll fails.\n\
         - **The homeserver** answers as Synapse does: one entity tag for everything, 401 to a \
           revoked token, 404 for quarantined media.\n\
         - **Lengths** are lognormal:\n\n\
         | Requests for | Share | Median | Sigma | At most |\n|---|--:|--:|--:|--:|\n",
        DAY_SECS / 3600,
        grouped(media as u64),
        workload.bytes_of_all() as f64 / 1e9,
        grouped(readers as u64),
        1.0 + evening,
        pop_cache_bytes >> 20,
        isolate_life_secs / 3600,
        SETTINGS[0].config().memory_cache_bytes >> 20,
    );
    for of in representations {
        let _ = writeln!(
            text,
            "| {} | {:.0} % | {:.0} kB | {} | {} kB |",
            of.name,
            of.share * 100.0,
            of.median_bytes / 1e3,
            of.sigma,
            grouped((of.max_bytes / 1e3) as u64),
        );
    }
    text + "\n"
}

const LIMITS: &str = "\
## Limits

- The distributions are assumptions, not measurements of a homeserver. Rooms make readers read the
  same at the same time, which is kinder to caches than independent choices; bots and crawlers are
  not.
- Every answer is there at once. So nothing is ever asked twice because two came at the same time,
  and the waiting for each other that the Worker does has nothing to do here.
- How much Cloudflare keeps, for how long, and how many isolates it runs is not documented and
  changes; a data centre is one cache here, and all of it is cold when the day begins.
- No ranges, HEAD requests, conditional requests of clients, uploads, federation, purges by hand,
  deletions, faults, or clocks that differ.
- Media gets onto the list of purges by the poll alone: a reader's 404 is not passed on to other data
  centres, as the Worker does.
- All requests are by clients with tokens, at the client door.
";

fn percent(part: u64, all: u64) -> String {
    format!("{:.1} %", part as f64 / all as f64 * 100.0)
}

/// With a space between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(
            [7, 999, 1000, 1_234_567].map(grouped),
            ["7", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]
        );
    }
}
