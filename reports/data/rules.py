"""State the constants of every rule of the analysis in one place, each with its reason."""

from __future__ import annotations

from loadtest.core import cloud_run, saturation

# Windows and quantiles.
QUANTILES = (0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
"""What tables show. p99.9 needs about 1,000 requests to be more than the maximum; its interval says so."""

CONFIDENCE = 0.95
"""Of printed intervals: the convention readers expect."""

WINDOW_S = 10
"""Width of a detection window. 10 s at 10 requests/s hold 100 requests: enough for the lower bound of a p95."""

WINDOW_REQUESTS = 60
"""A window at a low rate reaches back until it holds so many: below 59 a p95 has no upper bound at all."""

WINDOW_MAX_S = 60
"""…but never further than this: a wider window would smear a spike over a minute."""

# Spikes: tuned on seeds that are not the held-out ones; benchmarks/detection.py prints what they give.
BASELINE_HALF_S = 300
"""The baseline of a window is the median of its normal neighbours within 5 min: drift over minutes is not a spike."""

BASELINE_CAP = 1.45
"""× the run's normal level (its lower quartile): a plateau of 20 min must not become its own baseline. At 1.6 a rise to
2.2 × for nine minutes hid in it; a load that makes latency climb by half in the course of a run stays below that."""

LONG_WINDOWS = 6
"""Windows are judged again a minute at a time: at 10 requests/s a p95 of 10 s scatters so much that a rise to twice
the level for minutes stays within it, one of a minute does not."""

LIGHT_S, LIGHT_REQUESTS = 5, 12
"""Light load is looked for in stretches of 5 s: the time between a cold start and saturation is hardly longer."""

LIGHT_RATIO = 2.0
"""A run is measured against its lightest stretches instead of its lower quartile where both the median and p95 of the
quartile are twice as high: a service with two kinds of requests has one of the two by chance, not both."""

LIGHT_STRETCHES = 4
"""20 s with at most half of the users are light load; with less than that, the three with the lowest load are."""

QUEUE_RATIO, QUEUE_MS = 10.0, 150.0
"""Requests wait in a queue where the usual one takes ten times as long as the fastest five, p5 half of that, and the
usual one 150 ms longer: of 100,000 draws of a lognormal with a standard deviation of 0.6 p5 is four times that."""

WAITING_RATIO = 0.6
"""…and users spend three fifths of their time waiting, or arrivals outrun answers."""

ONLY_WAITING_RATIO = 0.9
"""Users who wait nine tenths of their time only ever wait: either they make no pause, or the service is full."""

SCAN_S = (3, 10, 25)
"""Bursts of very slow requests are looked for in windows of these widths: a start of an instance that five of hundred
requests meet moves no percentile of 10 s."""

SCAN_RATIO = 2.5
"""× the limit of their moment: so slow is a very slow request."""

SCAN_LENGTH_S = 4.0
"""…from the first such request to the last answer: a single request that blocks a core for a second makes a short queue
behind it, which is the run's tail and no event."""

STOPPED_SHARE, STOPPED_S = 0.5, 1.0
"""…or eight of them, half of the requests of their seconds, one for longer than a second: then everything stood."""

SCAN_CHANCE = 1e-7
"""Poisson, at the run's own rate of them: 10,000 windows an hour give one in a thousand hours by chance."""

SCAN_GAP_S, SCAN_SHARE, SCAN_RATE = 5, 0.05, 0.002
"""…apart from other spikes, a twentieth of the requests of its seconds, and no rarer than one in 500 s usually."""

CONNECTING_S = 3
"""The first seconds of a load, in which each of its users opens a connection."""

# Outages.
OUTAGE_WINDOW_S = 5
"""Outages of five seconds are to be seen."""

OUTAGE_RATIO, OUTAGE_FAILURES = 0.2, 3
"""A fifth of the requests of five seconds, and three of them: what a client sees as "it does not work"."""

SILENT_S, SILENT_ANSWERS, SILENCE_BEFORE_S = 4, 8, 60
"""No answer in so many whole seconds (five seconds hold four at least) in which the minute before would give eight."""

NORMAL_PERCENTILE, NORMAL_PERCENTILE_SHORT, SHORT_RUN_S = 25, 10, 600
"""That quartile; in a run shorter than 10 min a ramp and its scaling fill most of it: there the lowest tenth."""

BASELINE_PASSES = 3
"""Flagged windows leave the baseline and it is taken again: the second pass settles it, the third is for safety."""

BASELINE_NEIGHBOURS = 5
"""Fewer normal neighbours than this give no median; the run's lower quartile is used instead."""

ON_RATIO = 1.3
"""A rise of less than 30 % cannot be told from drift of a shared machine without too many false alarms."""

ON_MAD = 4.0
"""…nor is one of less than 4 robust standard deviations of this run's own normal windows."""

ON_MS = 10.0
"""…nor one of less than 10 ms: at 3 ms a scheduler's time slice alone doubles the p95."""

ON_CONFIDENCE = 0.98
"""The lower bound of the window's p95 must pass the limit: 1 % of windows would do so by chance at the limit."""

UNWIDENED_FACTOR = 1.3
"""A narrow window at a low rate is tested too, with a limit 30 % higher, as it holds few requests."""

OFF_RATIO, OFF_MAD, OFF_WINDOWS = 1.15, 1.5, 2
"""Over after two windows below 15 % (or 1.5 robust standard deviations): hysteresis keeps one spike one."""

NEIGHBOUR_REQUESTS = 20
"""Two neighbouring p95s above the limit count without the lower bound when each holds so many requests."""

MAD_FLOOR = 0.02
"""Of log p95: a run of constant latencies has no spread, and 2 % is below what anyone acts on."""

SPREAD_WINDOWS, MAD_OF_FEW = 10, 0.3
"""Fewer windows than ten have no spread of their own: those of a ramp climb. 0.3 allows p95 to triple with the load."""

LOOK_BACK_WINDOWS = 6
"""An onset is looked for at most a minute before the first window that is certain."""

ANOMALOUS_SECOND_RATIO = 0.2
"""A second belongs to a spike when a fifth of its requests pass the limit (p95 needs a twentieth)."""

MIN_SLOW_REQUESTS = 4
"""Fewer slow requests than this are listed one by one ("slow first requests"), not as a percentile."""

FEW_RATIO, MANY_SLOW = 2.5, 10
"""…and a rise to less than 2.5 × needs ten."""

HEIGHT_RATIO, HEIGHT_WINDOWS = 8.0, 3
"""Half a minute of a low rise beside one to more than 8 × (half as high on the log scale) is a spike of its own."""

START_SLOW_REQUESTS = 8
"""…and in the first two seconds no fewer than this: 5 users/s open their connections there, each once…"""

LATE_ANSWER_S = 1.0
"""…unless the first answer of all took longer than this, which no connection does: then it is a start."""

UNANSWERED_REQUESTS, UNANSWERED_RATIO = 3, 0.8
"""Three requests, and four fifths of all, that waited from the load's start for the first answer: a cold start."""

VALLEY_WITHIN_S, VALLEY_DEPTH = 20, 2.0
"""A cold start ends where, within 20 s of the first answer, the median of a second is half of that on either side."""

GOES_ON = 5
"""…or, without a valley, with the first answer where requests stay slow for five times as long."""

# Causes.
ERROR_RATIO, ERROR_FACTOR, ERROR_CHANCE = 0.02, 5.0, 1e-3
"""Errors explain a spike when 2 % fail, five times as many as outside, and chance (Poisson) does not."""

START_S = 15.0
"""A spike that begins within 15 s of the load began with it."""

START_NEAR_S = 3.0
"""…and the first instance became able to serve inside it, give or take a few seconds of thin traffic."""

WHOLE_RATIO = 0.85
"""Nearly all slower: this share of requests above the median before (0.5 = unchanged; a cold start slows a part)."""

NEW_DEMAND = 1.03
"""Users per instance beyond the highest that was served at normal latency elsewhere in the run."""

NEW_ARRIVALS = 1.1
"""The same for arrivals, whose mean over 10 s at 10/s scatters by 10 %."""

NORMAL_SECONDS = 60
"""Fewer seconds outside spikes than this do not show what a service can serve."""

RISING_DEMAND = 1.15
"""Users against the 2 min before, used where the load served outside spikes is not known: a burst that was served
before is not new demand."""

GENERATOR_CPU_RATIO, GENERATOR_LAG_MS = saturation.CPU_RATIO, saturation.LAG_MS
"""docs/run-folder.md: a worker in such a second may measure its own delay."""

GENERATOR_SHARE = 0.25
"""Of a spike's seconds: fewer saturated ones are an effect of the spike on the client, not its cause."""

GENERATOR_LAG_SHARE = 0.05
"""Of the rise of p95: a loop 60 ms late does not make requests 3 s late."""

LAG_EXPLAINS = 0.25
"""Of the rise: a loop usually late by a quarter of it made so much of it that the rest cannot be separated."""

GAUGE_LATE_S = 60.0
"""Cloud Run samples once a minute: without a point so soon after a spike's end the gauge cannot say."""

GAUGE_BEFORE_S = 15.0
"""A sample so shortly before an onset may already count the instance whose start is the spike."""

AROUND_BEFORE_S, AROUND_AFTER_S = 30.0, 15.0
"""An instance that became ready so long before a spike's onset or after its end belongs to it."""

BEFORE_S, BEFORE_GAP_S = 120, 5
"""What a spike is compared with: the 2 min before it, except the last 5 s, in which it may have begun."""

BEFORE_REQUESTS = 30
"""…if they hold so many requests; else everything outside the spike."""

YOUNG_S = 10.0
"""An instance younger than this is new: caches, lazy imports and just-in-time work settle within seconds."""

FIRST_REQUESTS = 5
"""The first requests of an instance, which are kept one by one."""

MACHINE_CPU_RATIO, MACHINE_STEAL_RATIO, MACHINE_PRESSURE_RATIO = 0.95, 0.1, 0.2
"""A machine with 5 % of its CPU left queues its processes; a tenth taken by others, or a fifth of the time spent
waiting for memory, shows in every p95."""

MACHINE_SHARE = 0.5
"""Of the spike's seconds; and half as often, at most, elsewhere."""

YOUNG_SLOW, YOUNG_EARLY, OTHERS_SLOW = 0.6, 0.5, 0.3
"""An added instance made a spike when young ones answered 60 % of its slow requests, half of the first of them, and
older ones slowed no more than 30 % of theirs."""

THROUGHOUT = 0.5
"""A run without a baseline is overloaded for at least half of its length."""

OUTAGE_MOST = 0.5
"""Half of the requests failing is an outage, less are errors."""

PART_REQUESTS = 10
"""Requests of an endpoint inside a spike: fewer have no median to speak of."""

PART_SLOW, PART_RATIO, PART_KEPT = 0.5, 1.4, 0.25
"""An endpoint slowed when half of its requests exceed its p90 outside spikes and its median is × 1.4; it kept its
latency when no more than a quarter do (a tenth is usual)."""

INSTANCE_SLOW = 0.35
"""An instance is slow when a third of its requests are, which a p95 needs a twentieth of."""

LOST_NEAR_S, LOST_ANSWERS = 6.0, 8.0
"""An instance was lost at an onset when its last answer lies within 6 s of it and eight more were expected."""

REPLACED_S = 30.0
"""Half a minute after it another is ready in its place; one that comes later comes for another reason."""

IDLE_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Idle times that are tried: what throttles or sleeps does so after some seconds."""

WAKING_SLOW = 0.7
"""Of the requests that meet an idle instance; some meet one that has just been woken by something else."""

PAUSE_APART_S, PAUSE_REGULAR, PAUSE_MOST = 2.0, 0.15, 0.8
"""Pauses lie 2 s apart; four fifths of their intervals within 15 % of the usual one: of four random ones that has a
chance of 1 %."""

DEPENDENCY_S, DEPENDENCY_RATIO, DEPENDENCY_CPU = 15, 1.25, 1.25
"""Shorter is a pause; the fastest (p5) take a quarter longer, and the CPU is used no more than a quarter above."""

# Warm-up.
SETTLED_RATIO = 1.15
"""Warm: p95 stays within 15 % of the steady p95, the same margin at which a spike is over."""

SETTLED_MS = 2.0
"""…or within 2 ms: at a p95 of 4 ms, 15 % are less than a scheduler's tick."""

SETTLED_WINDOWS = 6
"""Stays: for six windows in a row, a minute."""

# Comparison.
MARGIN = 0.05
"""Differences within ± 5 % are called equivalent: less than what one deploy to the next varies on shared machines."""

COMPARED_AT_LEAST_S = 60
"""Sixty cells of a second: less shows nothing of what drifts."""

PAIRED_AT_LEAST_S = 20
"""Two targets in one run share what drifts: twenty seconds are enough for chance to show how large it is."""

PAIRED_BEYOND_AT_LEAST = 10
"""Requests beyond a quantile on each side: the deviation of one that rests on fewer is not known from them."""

ERROR_MARGIN = 0.005
"""Half a percentage point: half of what the implied objective allows in all."""

BEYOND_AT_LEAST = 5
"""Requests beyond a quantile: p95 needs 100 in all, p99 500; with fewer it is nearly the maximum."""

NEAR_QUANTILE = 0.4
"""The density at p95 is taken between p93 and p97: two fifths of the tail on either side."""

BURSTS_AT_LEAST = 8
"""A quantile that rests on fewer bursts of slow requests (stalls of seconds) is a count of bursts: three on one
side and none on the other prove nothing. In a run whose cells are fewer than 48, a sixth of them."""

GAP_AT_LEAST = 0.005
"""A difference within 0.5 % of the margin cannot be decided by running longer."""

MIX_TOLERANCE = 0.02
"""Shares of endpoints that differ by more move a percentile of all requests, though no endpoint changed."""

# Capacity.
KNEE_POINTS, PLATEAU_POINTS = 6, 3
"""Windows: a minute in all, and half of that on the plateau."""

LIGHT_POINTS = 3
"""The windows with the shortest response times: half a minute of light load, however long the rest was."""

PLATEAU = 0.9
"""Of the highest throughput: counts of 10 s at 30 requests/s scatter by 6 %."""

KNEE_SLOWER = 2.0
"""Past the knee requests take twice as long for the same throughput; drift alone does not double them."""

KNEE_SLOWER_ALONE, FAST_ON_PLATEAU = 4.0, 1.5
"""…and four times when users are not known, who would tell whether they were kept waiting; and hardly any window of
the plateau may then be as fast as light load: a load that ended there leaves such windows, a full service none."""

LIGHT_SHARE = 0.25
"""Of the plateau: one core that is busy for a quarter of the time makes requests wait for a sixth of their time."""

LIGHT_REQUESTS_PER_S = (20, 5)
"""Seconds with so many have a mean to speak of; the fastest three of these, else of those with a quarter of that."""

# Advice.
IDLE_RATIO = 0.1
"""A run with less than a tenth of a request in flight per instance does not show what an instance can do."""

HEADROOM = 1.5
"""× the peak that was tested: for an uneven spread over instances, and for one being replaced."""

ASSUMED_VCPU, ASSUMED_GIB = cloud_run.CPU, cloud_run.MEMORY_MIB / 1024
"""Cloud Run's defaults, for a run whose limits are not recorded."""

CHARTED_ENDPOINTS = 12
"""Endpoints, by their requests, whose latency, throughput and failures can be looked at alone in the charts."""

HEATMAP_COLUMNS = 240
"""Stretches of time of the latency heatmap: four to five pixels each on a wide page."""

HEATMAP_ROWS = 40
"""Bands of latency of the heatmap, each as wide as the others by factor."""
