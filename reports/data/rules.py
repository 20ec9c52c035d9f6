"""Define the constants of all rules of the analysis, each with its reason."""

from __future__ import annotations

from loadtest.core import cloud_run, saturation

# Windows and quantiles.
QUANTILES = (0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
"""The percentiles in tables. p99.9 needs about 1,000 requests to differ from the maximum; its interval shows this."""

CONFIDENCE = 0.95
"""Confidence level of printed intervals, by convention."""

WINDOW_S = 10
"""Width of a detection window. 10 s at 10 requests/s hold 100 requests: enough for the lower bound of a p95."""

WINDOW_REQUESTS = 60
"""At a low rate, a window reaches back until it holds this many requests; below 59 a p95 has no upper bound."""

WINDOW_MAX_S = 60
"""The longest such window: a wider one would spread a spike over a minute."""

# Spikes: tuned on seeds that are not the held-out ones; benchmarks/detection.py prints what they give.
BASELINE_HALF_S = 300
"""The baseline of a window is the median of its normal neighbours within 5 min, so that drift over minutes is not a
spike."""

BASELINE_CAP = 1.45
"""Highest baseline, as a factor of the run's normal level (its lower quartile), so that a plateau of 20 min does not
become its own baseline. At 1.6, it hid a rise to 2.2 × for nine minutes. A load that raises latency by half during a
run stays below 1.45."""

LONG_WINDOWS = 6
"""Windows are also judged by the minute. At 10 requests/s, p95 of 10 s scatters so much that a rise to twice the level
for minutes is not visible in it, but p95 of a minute shows it."""

LIGHT_S, LIGHT_REQUESTS = 5, 12
"""Light load is searched in periods of 5 s, because the time between a cold start and saturation is hardly longer."""

LIGHT_RATIO = 2.0
"""A run is measured against its lightest periods instead of its lower quartile if both the median and the p95 of the
quartile are twice as high. A service with two kinds of requests may meet one of the two conditions by chance, but not
both."""

LIGHT_STRETCHES = 4
"""20 s with at most half of the users count as light load. If there are fewer seconds, the three periods with the
lowest load are used."""

QUEUE_RATIO, QUEUE_MS = 10.0, 150.0
"""Requests wait in a queue if the median takes ten times as long as the fastest five and 150 ms longer, and p5 at least
half of that factor. In 100,000 draws of a lognormal with a standard deviation of 0.6, p5 is four times the fastest
five."""

WAITING_RATIO = 0.6
"""It is also required that users spend three fifths of their time waiting, or that arrivals outrun answers."""

ONLY_WAITING_RATIO = 0.9
"""Users who wait nine tenths of their time wait practically always: either they make no pauses, or the service is
full."""

SCAN_S = (3, 10, 25)
"""Bursts of very slow requests are searched in windows of these widths, because an instance start that delays five of a
hundred requests does not move a percentile of 10 s."""

SCAN_RATIO = 2.5
"""A request counts as very slow from this multiple of the limit at its time."""

SCAN_LENGTH_S = 4.0
"""A burst lasts at least this long, from its first request to its last answer. A single request that blocks a core for
a second causes a short queue, which belongs to the run's tail and is not an event."""

STOPPED_SHARE, STOPPED_S = 0.5, 1.0
"""A shorter burst also counts if it has eight such requests, half of the requests in their seconds, and one that took
longer than a second. All requests were then blocked."""

SCAN_CHANCE = 1e-7
"""Poisson probability at the run's own rate of such requests: with 10,000 windows an hour, one false burst in a
thousand hours."""

SCAN_GAP_S, SCAN_SHARE, SCAN_RATE = 5, 0.05, 0.002
"""Least distance from other spikes, least share of the requests in its seconds, and lowest usual rate (one in 500
s)."""

ORDINARY_BURSTS = 8.0
"""An unexplained spike must hold more waiting than this many usual bursts of its run. The area below a queue decreases
only as exp(−√area): on one core that is 40 % busy, the largest of 7 hours was 37 bursts. Simulated rises of a minute
had 350 and more, stops of a second at 10 requests/s about ten."""

CONNECTING_S = 3
"""The first seconds of a load, in which each of its users opens a connection."""

# Outages.
OUTAGE_WINDOW_S = 5
"""Shortest outage that must be found: five seconds."""

OUTAGE_RATIO, OUTAGE_FAILURES = 0.2, 3
"""Failures that clients see as "it does not work": a fifth of the requests of five seconds, and at least three."""

SILENT_S, SILENT_ANSWERS, SILENCE_BEFORE_S = 4, 8, 60
"""Silence: no answer in this many whole seconds (any five seconds contain at least four), although at the rate of the
minute before there would be eight."""

NORMAL_PERCENTILE, NORMAL_PERCENTILE_SHORT, SHORT_RUN_S = 25, 10, 600
"""The quantile that defines the normal level: the lower quartile, or the lowest tenth in a run shorter than 10 min,
most of which may be a ramp and its scaling."""

BASELINE_PASSES = 3
"""Number of passes. Flagged windows leave the baseline, and it is computed again. The second pass settles it; the third
is for safety."""

BASELINE_NEIGHBOURS = 5
"""With fewer normal neighbours than this, the run's lower quartile is used instead of their median."""

ON_RATIO = 1.3
"""A rise of less than 30 % cannot be distinguished from drift of a shared machine without too many false alarms."""

ON_MAD = 4.0
"""A rise of less than 4 robust standard deviations of the run's own normal windows does not count either."""

ON_MS = 10.0
"""A rise of less than 10 ms does not count: at 3 ms, a scheduler's time slice alone doubles the p95."""

ON_CONFIDENCE = 0.98
"""The lower bound of the window's p95 must exceed the limit. At the limit, 1 % of windows would do so by chance."""

UNWIDENED_FACTOR = 1.3
"""A narrow window at a low rate is tested too, with a limit 30 % higher, because it contains few requests."""

OFF_RATIO, OFF_MAD, OFF_WINDOWS = 1.15, 1.5, 2
"""A spike is over after two windows below 15 % (or 1.5 robust standard deviations). This hysteresis keeps one spike
from being split."""

NEIGHBOUR_REQUESTS = 20
"""Two neighbouring p95s above the limit count without the lower bound if each window contains this many requests."""

MAD_FLOOR = 0.02
"""Smallest spread of log p95. A run of constant latencies has none, and no one would act on 2 %."""

SPREAD_WINDOWS, MAD_OF_FEW = 10, 0.3
"""With fewer windows than ten there is no reliable spread, and the windows of a ramp climb. 0.3 allows p95 to triple
with the load."""

LOOK_BACK_WINDOWS = 6
"""The onset is searched up to a minute before the first certain window."""

ANOMALOUS_SECOND_RATIO = 0.2
"""A second belongs to a spike if a fifth of its requests exceed the limit (p95 needs a twentieth)."""

MIN_SLOW_REQUESTS = 4
"""Fewer slow requests than this are listed individually ("slow first requests"), not as a percentile."""

FEW_RATIO, MANY_SLOW = 2.5, 10
"""A rise to less than 2.5 × needs ten slow requests, each slower than SHOWN_RATIO × the baseline."""

HEIGHT_RATIO, HEIGHT_WINDOWS = 8.0, 3
"""Half a minute of a low rise next to a rise to more than 8 × (half as high on the log scale) is a separate spike. So
is a second high rise after the low one."""

START_SLOW_REQUESTS = 8
"""At least this many slow requests are required in the first two seconds, because 5 users/s open their connections
then, unless the first answer took longer than LATE_ANSWER_S."""

LATE_ANSWER_S = 1.0
"""No connection takes this long to open. A later first answer means that the request waited for a start."""

UNANSWERED_REQUESTS, UNANSWERED_RATIO = 3, 0.8
"""A cold start requires three requests, and four fifths of all, that waited from the load's start for the first
answer."""

VALLEY_WITHIN_S, VALLEY_DEPTH = 20, 2.0
"""A cold start ends at a second, within 20 s of the first answer, whose median is half of the medians before and after
it."""

GOES_ON = 5
"""Without such a valley it ends with the first answer, if requests stay slow for five times as long."""

# Causes.
ERROR_RATIO, ERROR_FACTOR, ERROR_CHANCE = 0.02, 5.0, 1e-3
"""Errors explain a spike if 2 % fail, five times as many as outside, and chance (Poisson) does not explain them."""

START_S = 15.0
"""A spike that begins within 15 s of the load began with it."""

START_NEAR_S = 3.0
"""The first instance became ready inside the spike, with a tolerance of a few seconds for low traffic."""

WHOLE_RATIO = 0.85
"""Share of requests above the previous median from which nearly all requests are slower (0.5 = unchanged; a cold start
slows only a part)."""

QUEUE_REQUESTS, QUEUE_SLOW = 5, 0.2
"""Requests waited for each other if, of at least five requests that met no more others on their instance than usual, at
most a fifth were slow, and at most half of the share among all requests. A cause that slows the service itself slows
these requests too."""

SHOWN_RATIO, FEW_SHOWN_RATIO = 1.6, 5.0
"""An unexplained rise counts as a spike if p95 is at least 1.6 × the baseline (5 × with fewer than ten slow requests).
A queue at unchanged load counts only if p95 is at least 1.6 × the p95 of all other requests, because queues of seconds
are normal on a busy instance."""

NEW_DEMAND = 1.03
"""Demand counts as new above this multiple of the most users per instance that were served at normal latency elsewhere
in the run."""

NEW_ARRIVALS = 1.1
"""The same factor for arrivals. Their mean over 10 s scatters by 10 % at 10/s."""

NORMAL_SECONDS = 60
"""Fewer seconds outside spikes than this do not show what a service can serve."""

RISING_DEMAND = 1.15
"""The same factor for users, compared with the 2 min before, if the load served outside spikes is not known. A burst
that was served before is not new demand."""

GENERATOR_CPU_RATIO, GENERATOR_LAG_MS = saturation.CPU_RATIO, saturation.LAG_MS
"""From these values on, a worker may measure its own delay (docs/run-folder.md)."""

GENERATOR_SHARE = 0.25
"""Share of a spike's seconds. If fewer are saturated, that is an effect of the spike on the client, not its cause."""

GENERATOR_LAG_SHARE = 0.05
"""Share of the rise of p95: an event loop that is 60 ms late does not make requests 3 s late."""

LAG_EXPLAINS = 0.25
"""Share of the rise: if the loop is usually late by a quarter of it, the rest cannot be separated."""

GAUGE_LATE_S = 60.0
"""Cloud Run samples once a minute. Without a point within this time after a spike, the gauge shows nothing about it."""

GAUGE_BEFORE_S = 15.0
"""A sample this shortly before an onset may already count the instance whose start caused the spike."""

AROUND_BEFORE_S, AROUND_AFTER_S = 30.0, 15.0
"""An instance that became ready within this time before a spike's onset or after its end belongs to the spike."""

BEFORE_S, BEFORE_GAP_S = 120, 5
"""A spike is compared with the 2 min before it, without the last 5 s, in which it may have begun."""

BEFORE_REQUESTS = 30
"""These must contain this many requests; otherwise everything outside the spike is used."""

YOUNG_S = 10.0
"""An instance younger than this is new, because caches, lazy imports and just-in-time compilation settle within
seconds."""

FIRST_REQUESTS, FIRSTS_KEPT = 5, 256
"""Number of an instance's first requests that are shown, and number in which slow ones are counted: 256 of each of
1,000 instances are 6 MB."""

FIRST_SLOW, LATER_SLOW = 0.5, 0.03
"""Shares of slow requests among the first and among later requests. The first requests end where the later share fits
better: three fast requests in a row outweigh a slow one after them."""

FIRST_CHANCE = 0.01
"""Slow first requests are reported where chance makes as many in fewer than one run in a hundred."""

MACHINE_CPU_RATIO, MACHINE_STEAL_RATIO, MACHINE_PRESSURE_RATIO = 0.95, 0.1, 0.2
"""A machine counts as busy with at most 5 % of its CPU free, because its processes then queue. It also counts as busy
if a tenth is taken by others, or if a fifth of the time is spent waiting for memory, because every p95 shows that."""

MACHINE_SHARE = 0.5
"""Share of the spike's seconds in which the machine was busy. Elsewhere the share may be at most half of that."""

YOUNG_SLOW, YOUNG_EARLY, OTHERS_SLOW = 0.6, 0.5, 0.3
"""An added instance caused a spike if young instances answered 60 % of its slow requests and half of the first of them,
and older instances slowed no more than 30 % of theirs, and no more than half the share of the young ones."""

THROUGHOUT = 0.5
"""A run without a baseline is overloaded for at least half of its length."""

OUTAGE_MOST = 0.5
"""From half of the requests failing it is an outage; fewer failures are errors."""

PART_REQUESTS = 10
"""Requests of an endpoint inside a spike. With fewer there is no useful median."""

PART_SLOW, PART_RATIO, PART_KEPT = 0.5, 1.4, 0.25
"""An endpoint slowed if half of its requests exceed its p90 outside spikes and its median is × 1.4. It kept its latency
if at most a quarter exceed it (a tenth is usual)."""

INSTANCE_SLOW = 0.35
"""An instance is slow if a third of its requests are slow. A twentieth is enough to raise a p95."""

LOST_NEAR_S, LOST_ANSWERS = 6.0, 8.0
"""An instance was lost at an onset if its last answer lies within 6 s of it, and eight more answers were expected."""

REPLACED_S = (1.0, 30.0)
"""A replacement is ready from a second to half a minute after the loss. An instance that is ready at once was started
before, and one that comes later has another reason."""

IDLE_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Idle times that are tried. Throttling and sleeping begin after some seconds."""

WAKING_SLOW = 0.7
"""Share of slow requests among those that meet an idle instance. Some meet an instance that something else has just
woken."""

PAUSE_APART_S, PAUSE_REGULAR, PAUSE_MOST = 2.0, 0.15, 0.8
"""Pauses are at least 2 s apart, and four fifths of their intervals are within 15 % of the usual one. Four random
intervals fulfil that with a chance of 1 %."""

DEPENDENCY_S, DEPENDENCY_RATIO, DEPENDENCY_CPU = 15, 1.25, 1.25
"""A shorter rise is a pause. For a slow dependency the fastest requests (p5) take a quarter longer, and CPU use is at
most a quarter higher."""

# Warm-up.
SETTLED_RATIO = 1.15
"""p95 has settled when it stays within 15 % of the steady p95, the margin at which a spike is over."""

SETTLED_MS = 2.0
"""p95 has also settled within 2 ms, because at a p95 of 4 ms, 15 % is less than a scheduler's tick."""

SETTLED_WINDOWS = 6
"""p95 must stay there for six windows in a row, which is a minute."""

# Comparison.
MARGIN = 0.05
"""Differences within ± 5 % are called equivalent. Two deploys on shared machines differ by more."""

COMPARED_AT_LEAST_S = 60
"""Shortest comparable window: sixty cells of one second. A shorter window shows nothing about drift."""

PAIRED_AT_LEAST_S = 20
"""Two targets in one run share the drift, so twenty seconds are enough to see how large chance differences are."""

PAIRED_BEYOND_AT_LEAST = 10
"""Least number of requests beyond a quantile on each side. With fewer, its deviation cannot be estimated."""

ERROR_MARGIN = 0.005
"""Margin of the error rate: half a percentage point, which is half of what the implied objective allows."""

BEYOND_AT_LEAST = 5
"""Requests beyond a quantile: p95 needs 100 in total, p99 500. With fewer, it is nearly the maximum."""

NEAR_QUANTILE = 0.4
"""The density at p95 is taken between p93 and p97: two fifths of the tail on either side."""

BURSTS_AT_LEAST = 8
"""A quantile that depends on fewer bursts of slow requests (stalls of seconds) is only a count of bursts: three on one
side and none on the other prove nothing. In a run with fewer than 48 cells, the number is a sixth of the cells."""

GAP_AT_LEAST = 0.005
"""If the difference is within 0.5 % of the margin, running longer cannot decide."""

MIX_TOLERANCE = 0.02
"""If shares of endpoints differ by more than this, a percentile of all requests moves although no endpoint changed."""

# Capacity.
KNEE_POINTS, PLATEAU_POINTS = 6, 3
"""Windows that a capacity needs: a minute in total, and half of that on the plateau."""

LIGHT_POINTS = 3
"""Number of windows with the shortest response times that count as light load: half a minute, however long the rest
was."""

PLATEAU = 0.9
"""Share of the highest throughput that counts as the plateau. Counts of 10 s at 30 requests/s scatter by 6 %."""

PLATEAU_PERCENTILE = 75
"""The response time of the plateau is this percentile of its windows: if the load climbs in steps, faster windows are
still at the knee."""

BACKLOG = 20.0
"""Multiple of the knee: this many arrivals in flight are a queue that grows, even if nine tenths of them are answered
in time. At 85 % of the capacity, a queue of one core contains six requests on average."""

KNEE_SLOWER = 2.0
"""Past the knee, requests take twice as long for the same throughput. Drift alone does not double their time."""

KNEE_SLOWER_ALONE, FAST_ON_PLATEAU = 4.0, 1.5
"""They must take four times as long if users are not known, because users would show whether they had to wait. In that
case, hardly any window of the plateau may be as fast as at light load, too: if a load reaches its own limit, such
windows remain, but a full service leaves none. Users without a pause got all the answers that they could get if the
median request took less than half as long again."""

LIGHT_SHARE = 0.25
"""Share of the knee: a request that meets so few others finds a free core."""

LIGHT_ERROR = (0.05, 0.15)
"""Limits of the relative standard error of the mean at light load. Above the first, the knee is not known to 10 %, and
the text says so. Above the second it may be half as high, and no number is given."""

# Advice.
IDLE_RATIO = 0.1
"""A run with less than a tenth of a request in flight per instance does not show what an instance can do."""

HEADROOM = 1.5
"""Multiple of the tested peak, as reserve for uneven load on instances and for an instance that is being replaced."""

ASSUMED_VCPU, ASSUMED_GIB = cloud_run.CPU, cloud_run.MEMORY_MIB / 1024
"""Cloud Run's defaults, for a run whose limits are not recorded."""

CHARTED_ENDPOINTS = 12
"""Number of endpoints, those with most requests, whose latency, throughput and failures the charts can show
separately."""

HEATMAP_COLUMNS = 240
"""Number of columns of the latency heatmap: each is four to five pixels wide on a wide page."""

HEATMAP_ROWS = 40
"""Number of latency bands of the heatmap. The ratio between the ends of a band is the same for all."""
