"""Define the constants of all rules of the analysis, each with its reason."""

from __future__ import annotations

from loadtest.core import cloud_run, saturation

# Windows and quantiles.
QUANTILES = (0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
"""The percentiles in tables. p99.9 needs about 1,000 requests to differ from the maximum. Its interval shows whether
there are enough."""

CONFIDENCE = 0.95
"""Confidence level of printed intervals, by convention."""

WINDOW_S = 10
"""Width of a detection window. At 10 requests/s, 10 s contain 100 requests. This is enough for the lower bound of a
p95."""

WINDOW_REQUESTS = 60
"""At a low rate, a window reaches back until it contains this many requests. With fewer than 59 requests, a p95 has no
upper bound."""

WINDOW_MAX_S = 60
"""The longest window of this kind. A longer one would spread a spike over a minute."""

LEVEL_REQUESTS = 3
"""A window with fewer requests than this has no level."""

# Spikes: these constants were tuned on other seeds than those that benchmarks/detection.py uses to measure the results.
BASELINE_HALF_S = 300
"""The baseline of a window is the median of the normal windows within 5 min of it, so that a drift over minutes is not
a spike."""

BASELINE_CAP = 1.45
"""The highest baseline, as a multiple of the run's normal level (its lower quartile). Without this limit, a plateau of
20 min would become its own baseline. With a limit of 1.6, a rise to 2.2 × was hidden for nine minutes. If a growing
load raises latency by half during a run, the baseline stays below the limit of 1.45."""

LONG_WINDOWS = 6
"""Windows are also judged by the minute. At 10 requests/s, the p95 of 10 s scatters so much that it hides a rise to
twice the level that lasts for minutes. The p95 over a minute shows such a rise."""

LIGHT_S, LIGHT_SHORT_S, LIGHT_REQUESTS = 5, 2, 12
"""Light load is searched for in periods of 5 s, because the time between a cold start and saturation is hardly longer.
If the cold start reaches into these periods, that time is shorter, and the best period of 2 s is used."""

LIGHT_RATIO = 2.0
"""A run is measured against its lightest periods instead of its lower quartile if the quartile is at least twice as
high. This must be true of both the median and p95. A service with two kinds of requests may meet one of the two
conditions by chance, but not both."""

LIGHT_STRETCHES = 4
"""Periods with at most half of the users are tried as light load if there are this many of them (20 s). After that, the
three periods with the lowest p95 are tried."""

QUEUE_RATIO, QUEUE_MS = 10.0, 150.0
"""Requests count as queued if the median is at least 150 ms and ten times the fifth fastest latency, and p5 is at least
five times that latency. In 100,000 draws of a lognormal with a standard deviation of 0.6, without any queue, p5 is only
four times the fifth fastest."""

WAITING_RATIO = 0.6
"""Requests count as queued only under a further condition: users spend three fifths of their time waiting, or there are
more arrivals than answers."""

ONLY_WAITING_RATIO = 0.9
"""Users who wait for nine tenths of their time practically only wait: either they make no pauses, or the service is
full."""

SCAN_S = (3, 10, 25)
"""Bursts of very slow requests are searched for in windows of these widths, because an instance start that delays five
of a hundred requests does not move a percentile over 10 s."""

SCAN_RATIO = 2.5
"""A request counts as very slow if it took longer than this multiple of the limit at its time."""

SCAN_LENGTH_S = 4.0
"""A burst lasts at least this long, from its first request to its last answer. A single request that blocks a core for
a second causes a short queue. That is part of the run's tail and not an event."""

STOPPED_SHARE, STOPPED_S = 0.5, 1.0
"""A shorter burst also counts if eight of its requests were very slow, these are half of the requests in its seconds,
and one request took longer than a second. All requests were then blocked."""

REGULAR_STOPS = 7
"""Brief stops count if there are at least seven in the run and they come at regular intervals (PAUSE_REGULAR,
PAUSE_MOST). Six random intervals meet this condition with a probability of 1 %."""

SCAN_CHANCE = 1e-7
"""A burst must be less probable than this, given the run's usual rate of very slow requests (Poisson). With 10,000
windows an hour, this allows one false burst in a thousand hours."""

SCAN_GAP_S, SCAN_SHARE, SCAN_RATE = 5, 0.05, 0.002
"""Limits for a burst: its smallest distance from other spikes in s, and the smallest share of very slow requests in its
seconds. The third value is the lowest usual rate that is assumed: one very slow request in 500 s."""

ORDINARY_BURSTS = 8.0
"""An unexplained spike counts only if its excess latency is at least as large as that of this many usual bursts of its
run. Ordinary queues can be long: the probability that the excess latency of a queue is larger than A decreases only as
exp(−√A). On one core that is 40 % busy, the largest queue in 7 hours had the excess latency of 37 bursts. Simulated
rises that last a minute had the excess latency of 350 bursts or more. Stops of a second at 10 requests/s had that of
about ten bursts."""

MANY_BURSTS, ORDINARY_LARGEST, ORDINARY_QUEUES = 40.0, 8.0, 3
"""A spike with less excess latency than 40 usual bursts must also have eight times the excess latency of the third
largest burst of the same length. On cores that are 50 to 65 % busy, the largest queue of 43 hours had 7.4 times the
excess latency of the third largest burst, and the largest queue of 10 hours had that of 30 usual bursts. Simulated
stops of one to four seconds had 10 times that of the third largest burst, or more. If three or more queues cover more
than half of the time, queues are the usual state. A single long queue may be a lasting rise."""

CONNECTING_S = 3
"""The first seconds of a load, in which each of its users opens a connection."""

# Outages.
OUTAGE_WINDOW_S = 5
"""Shortest outage that must be found: five seconds."""

OUTAGE_RATIO, OUTAGE_FAILURES = 0.2, 3
"""In an outage, a fifth of the requests of five seconds fail, and at least three. Clients notice this as a service that
does not work."""

SILENT_S, SILENT_ANSWERS, SILENCE_BEFORE_S = 4, 8, 60
"""The service is silent if this many whole seconds have no answer, although the rate of the minute before would give
eight answers. Any period of five seconds contains at least four whole seconds."""

NORMAL_PERCENTILE, NORMAL_PERCENTILE_SHORT, SHORT_RUN_S = 25, 10, 600
"""The quantile that defines the normal level: the lower quartile, or the lowest tenth in a run shorter than 10 min,
because most of such a run may be a ramp with its scaling."""

BASELINE_PASSES = 3
"""Number of passes. Each pass computes the baseline again, without the windows that the pass before found anomalous.
Two passes are usually enough; the third is for safety."""

BASELINE_NEIGHBOURS = 5
"""With fewer normal neighbours than this, the run's lower quartile is used instead of their median."""

ON_RATIO = 1.3
"""A smaller rise than 30 % cannot be told from the drift of a shared machine without too many false alarms."""

ON_MAD = 4.0
"""A rise of less than 4 robust standard deviations of the run's own normal windows does not count either."""

ON_MS = 10.0
"""A rise of less than 10 ms does not count: if p95 is 3 ms, a single time slice of the scheduler doubles it."""

ON_CONFIDENCE = 0.98
"""The lower bound of the window's p95 must exceed the limit. If the true p95 equals the limit, this happens by chance
in 1 % of the windows."""

UNWIDENED_FACTOR = 1.3
"""At a low rate, the window that is not widened is tested too. Its limit is 30 % higher, because it contains few
requests."""

OFF_RATIO, OFF_MAD, OFF_WINDOWS = 1.15, 1.5, 2
"""A spike is over after two windows in which p95 is less than 15 % (or 1.5 robust standard deviations) above the
baseline. This hysteresis keeps one spike from being split."""

NEIGHBOUR_REQUESTS = 20
"""Two neighbouring windows with p95 above the limit count, whatever their lower bounds, if each contains this many
requests."""

MAD_FLOOR = 0.02
"""Smallest assumed spread of log p95. A run with constant latencies has no spread, and nobody would act on a rise of 2
%."""

SPREAD_WINDOWS, MAD_OF_FEW = 10, 0.3
"""Fewer than ten windows give no reliable spread, because p95 climbs during a ramp. Their spread is therefore at most
0.3, which allows p95 to triple with the load."""

LOOK_BACK_WINDOWS = 6
"""The onset is searched for up to a minute before the first certain window."""

ANOMALOUS_SECOND_RATIO = 0.2
"""A second belongs to a spike if a fifth of its requests exceed the limit. A twentieth is enough to raise p95."""

MIN_SLOW_REQUESTS = 4
"""If there are fewer slow requests than this, they are listed individually ("slow first requests"), not as a
percentile."""

FEW_RATIO, MANY_SLOW = 2.5, 10
"""A rise to less than 2.5 × the baseline counts only if ten requests were slower than SHOWN_RATIO × the baseline."""

HEIGHT_RATIO, HEIGHT_WINDOWS = 8.0, 3
"""A rise to more than 8 × the baseline is split. A lower part next to the high rise is a separate spike if it lasts for
half a minute and is less than half as high on the log scale. A second high rise after such a low part is a separate
spike as well."""

START_SLOW_REQUESTS = 8
"""A spike that begins in the first seconds of the load needs at least this many slow requests, because 5 users/s are
opening their connections at that time. If the first answer came later than LATE_ANSWER_S, fewer are enough."""

LATE_ANSWER_S = 1.0
"""No connection takes this long to open. If the first answer came later than this, its request waited for an instance
to start."""

UNANSWERED_REQUESTS, UNANSWERED_RATIO = 3, 0.8
"""A cold start requires that at least three requests, and four fifths of all that were sent before the first answer,
were slow because they waited for it."""

VALLEY_WITHIN_S, VALLEY_DEPTH = 20, 2.0
"""A cold start ends at a valley: a second within 20 s of the first answer, with higher medians before and after it. The
highest median on each side must be at least twice the median of that second."""

GOES_ON = 5
"""Without such a valley, a cold start ends with the first answer if requests stay slow for five times as long as that
answer took."""

# Causes.
ERROR_RATIO, ERROR_FACTOR, ERROR_CHANCE = 0.02, 5.0, 1e-3
"""Errors explain a spike if 2 % of its requests fail, this share is more than five times the share outside, and chance
(Poisson) does not explain it."""

START_S = 15.0
"""A spike that begins within 15 s of the load began with it."""

START_NEAR_S = 3.0
"""The first instance also counts as ready inside the spike if it became ready up to this long before the onset, because
low traffic shows an onset late."""

WHOLE_RATIO = 0.85
"""Nearly all requests count as slowed if at least this share of them took longer than the median before the spike. A
share of 0.5 means no change. A cold start slows only some of the requests."""

QUEUE_REQUESTS, QUEUE_SLOW = 5, 0.2
"""The cause is a queue if requests were rarely slow when their instance was no busier than usual. There must be at
least five such requests. At most a fifth of them may be slow, and their share of slow requests may be at most half of
the share among all. A cause that slows the service itself would slow them too."""

SHOWN_RATIO, FEW_SHOWN_RATIO = 1.6, 5.0
"""An unexplained rise counts as a spike if p95 is at least 1.6 × the baseline (5 × with fewer than ten slow requests).
A queue at unchanged load counts only if p95 is at least 1.6 × the p95 of all other requests, because queues of seconds
are normal on a busy instance."""

NEW_DEMAND = 1.03
"""Demand counts as new if there are more users per instance than this multiple of the highest number that was served
outside spikes in the same run."""

NEW_ARRIVALS = 1.1
"""The same factor for arrivals, to which one standard deviation of the mean over 10 s is added: 10 % at 10
requests/s."""

SLIGHT_BESIDE = 10.0
"""The load in another spike of the run counts as served if that spike lasted as long and its highest p95 is a tenth of
this one's. A service that is a little overloaded for minutes does not wait 20 s for that reason."""

NORMAL_SECONDS = 60
"""If there are fewer seconds outside spikes than this, they do not show what a service can serve."""

RISING_DEMAND = 1.15
"""If the load that was served outside spikes is not known, demand counts as new above this multiple of the median of
the 2 min before. The load outside spikes is the better reference: a burst that was served before is not new demand."""

GENERATOR_CPU_RATIO, GENERATOR_LAG_MS = saturation.CPU_RATIO, saturation.LAG_MS
"""From these values on, a worker may measure its own delay (docs/run-folder.md)."""

GENERATOR_SHARE = 0.25
"""If the load generator was saturated in a smaller share of a spike's seconds, the spike caused this, and not the other
way round."""

GENERATOR_LAG_SHARE = 0.05
"""Event-loop lag counts only if it is at least this share of the rise of p95: a loop that is 60 ms late does not make
requests 3 s late."""

LAG_EXPLAINS = 0.25
"""If the median event-loop lag is at least this share of the rise of p95, no other part of the rise can be separated
from it."""

GAUGE_LATE_S = 60.0
"""Cloud Run samples once a minute. Without a point within this time after a spike, the gauge shows nothing about it."""

GAUGE_BEFORE_S = 15.0
"""A sample this shortly before an onset may already count the instance whose start caused the spike."""

AROUND_BEFORE_S, AROUND_AFTER_S = 30.0, 15.0
"""An instance that became ready within this time before a spike's onset or after its end belongs to the spike."""

BEFORE_S, BEFORE_GAP_S = 120, 5
"""A spike is compared with the 2 min before it, without the last 5 s, in which it may have begun."""

BEFORE_REQUESTS = 30
"""The 2 min before a spike must contain this many normal requests. Otherwise those after the spike are used, or else
all normal requests."""

YOUNG_S = 10.0
"""An instance younger than this is new, because caches, lazy imports and just-in-time compilation settle within
seconds."""

FIRST_REQUESTS, FIRSTS_KEPT = 5, 256
"""How many of an instance's first requests are shown, and how many are kept to search for slow ones. 256 requests of
each of 1,000 instances take 6 MB."""

FIRST_SLOW, LATER_SLOW = 0.5, 0.03
"""Assumed shares of slow requests: among an instance's first requests, and among later ones. The first requests end
where the second share fits better: five fast requests in a row outweigh one slow request after them."""

FIRST_CHANCE = 0.01
"""Slow first requests are reported if chance alone would cause as many of them in fewer than one run in a hundred."""

MACHINE_CPU_RATIO, MACHINE_STEAL_RATIO, MACHINE_PRESSURE_RATIO = 0.95, 0.1, 0.2
"""A machine counts as busy if at most 5 % of its CPU is free, because its processes then queue. It also counts as busy
if other machines on its host take a tenth of its CPU, or if its processes wait for memory for a fifth of the time. Both
are visible in every p95."""

MACHINE_SHARE = 0.5
"""The machine is the cause only if it was busy in at least this share of the spike's seconds. Its share of busy seconds
outside the spike may be at most half of its share inside."""

YOUNG_SLOW, YOUNG_EARLY, OTHERS_SLOW = 0.6, 0.5, 0.3
"""Added instances caused a spike if they answered 60 % of its slow requests, and half of the first quarter of its slow
requests. In addition, at most 30 % of the requests to other instances may be slow, and this share may be at most half
of the share on the added instances."""

THROUGHOUT = 0.5
"""A spike in a run without a baseline counts as overload throughout only if it lasts for at least half of the run. A
run that was saturated for at least half of its steady phase does not show what an instance can serve."""

OUTAGE_MOST = 0.5
"""If at least half of the requests failed, the cause is an outage. If fewer failed, the cause is errors."""

PART_REQUESTS = 10
"""The smallest number of requests that an endpoint must have inside a spike. With fewer, their median says nothing."""

PART_SLOW, PART_RATIO, PART_KEPT = 0.5, 1.4, 0.25
"""An endpoint slowed if half of its requests in the spike exceed its p90 outside spikes, and its median is 1.4 times
its median outside spikes. It kept its latency only if at most a quarter of its requests exceed that p90; a tenth is
usual."""

INSTANCE_SLOW = 0.35
"""An instance is slow if a third of its requests are slow. A twentieth is enough to raise a p95."""

LOST_NEAR_S, LOST_ANSWERS = 10.0, 8.0
"""An instance was lost with a spike if its last answer lies between 10 s before the onset and 10 s after the peak, and
eight more answers were expected. The onset may be later than the loss, because the queue on the other instances needs
seconds to grow. It may also be earlier, if there was a small queue by chance just before the loss."""

REPLACED_S = (1.0, 30.0)
"""A replacement is ready from a second to half a minute after the loss. An instance that is ready at once was started
before, and one that comes later has another reason."""

IDLE_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""The idle times that are tried as the limit between an idle and a busy instance. Throttling and sleeping begin after
some seconds."""

WAKING_SLOW = 0.7
"""At least this share of the requests to an idle instance must be slow. The other requests may have been sent to an
instance that something else has just woken."""

PAUSE_APART_S, PAUSE_REGULAR, PAUSE_MOST = 2.0, 0.15, 0.8
"""Pauses are at least 2 s apart, and four fifths of their intervals are within 15 % of the usual one. Four random
intervals meet this condition with a probability of 1 %."""

DEPENDENCY_S, DEPENDENCY_RATIO, DEPENDENCY_CPU = 15, 1.25, 1.25
"""A slow dependency lasts at least 15 s; a shorter rise is a pause. The fastest requests (p5) take a quarter longer,
and CPU use is at most a quarter higher."""

CPU_FULL = 0.9
"""At nine tenths of their CPU, instances are full: one core then holds nine requests on average (M/M/1), and a service
time that drifts by a few percent makes the queue grow for minutes."""

# Warm-up.
SETTLED_RATIO = 1.15
"""p95 has settled when it stays within 15 % of the steady p95. A spike is over at the same margin."""

SETTLED_MS = 2.0
"""p95 has also settled if it stays within 2 ms of the steady p95: at 4 ms, 15 % is less than a scheduler's tick."""

SETTLED_WINDOWS = 6
"""p95 must stay there for six windows in a row, which is a minute."""

# Comparison.
MARGIN = 0.05
"""Differences within ± 5 % are called equivalent. Two deploys of one service on shared machines differ by more."""

COMPARED_AT_LEAST_S = 60
"""Shortest comparable window: sixty cells of one second. A shorter window shows nothing about drift."""

PAIRED_AT_LEAST_S = 20
"""Two targets in one run share the drift, so twenty seconds are enough to see how large differences by chance are."""

PAIRED_BEYOND_AT_LEAST = 10
"""The smallest number of requests beyond a quantile that each side must have. With fewer, its deviation cannot be
estimated."""

ERROR_MARGIN = 0.005
"""Margin of the error rate: half a percentage point. The implied objective allows twice as much."""

BEYOND_AT_LEAST = 5
"""The smallest number of requests beyond a quantile: p95 needs 100 requests in total, and p99 needs 500. With fewer,
the quantile is close to the maximum."""

NEAR_QUANTILE = 0.4
"""The density at p95 is taken between p93 and p97: two fifths of the tail on either side."""

BURSTS_AT_LEAST = 8
"""A quantile that depends on fewer bursts of slow requests (stalls of seconds) is only a count of bursts: three on one
side and none on the other prove nothing. In a run with fewer than 48 cells, the number is a sixth of the cells."""

GAP_AT_LEAST = 0.005
"""If the difference is within 0.5 % of the margin, a longer run cannot decide."""

MIX_TOLERANCE = 0.02
"""If shares of endpoints differ by more than this, a percentile of all requests moves although no endpoint changed."""

# Capacity.
FALL_RATIO = 0.15
"""Throughput falls past the knee if it is less by 15 %, over two minutes or more. The load rises with time, so a drift
of the service's speed looks like a fall: in 1,336 simulated runs with drift, two fell by 11 and 13 %."""

KNEE_POINTS, PLATEAU_POINTS = 6, 3
"""The smallest numbers of windows from which a capacity is computed: a minute in total, and half a minute on the
plateau."""

LIGHT_POINTS = 3
"""This many windows, those with the shortest response times, count as light load: half a minute in a run of any
length."""

PLATEAU = 0.9
"""Share of the highest throughput that counts as the plateau. At 30 requests/s, the number of requests in 10 s varies
by 6 % by chance, so a share closer to 1 would leave out windows of the plateau."""

PLATEAU_PERCENTILE = 75
"""The response time of the plateau is this percentile of the response times of its windows. If the load climbs in
steps, the faster windows are still at the knee."""

BACKLOG = 20.0
"""If more arrivals than this multiple of the knee are in flight, their queue is growing, even if nine tenths of them
are answered in time. For comparison: the queue of one core contains six requests on average at 85 % of the capacity."""

KNEE_SLOWER = 2.0
"""Past the knee, requests take twice as long for the same throughput. Drift alone does not double their time."""

KNEE_SLOWER_ALONE, FAST_ON_PLATEAU = 4.0, 1.5
"""If users are not known, requests must take four times as long, because it is not known either whether users had to
wait. Then hardly any window of the plateau may be as fast as at light load. If the load reached its own limit there are
such windows, and if the service was saturated there are none. For users who make no pause: if requests on the plateau
took less than 1.5 times as long as at light load, the users got all the answers that they could get."""

FULL, FULL_PLATEAU = 1.5, 0.75
"""A window is saturated if at least 1.5 × the knee was in flight and its throughput was at least 75 % of the plateau.
At the knee itself throughput is a tenth lower, because cores are idle at times. If service times drift by 7 %, three
standard errors are 21 %; a window with less than 75 % was disturbed."""

LIGHT_SHARE, LIGHT_WAITED = 0.75, 0.1
"""A request counts as light load if it and the others in flight are at most 0.75 of the knee. In simulated runs the
mean response time was 0.5 % longer than without waiting at half of the knee, 3 % longer at 0.75, and 10 % longer at the
knee, so a tenth of the third power of the share is added to the error. The knee is computed from the same mean, so on a
full service the share would be 1 minus the drift of the service. With a limit closer to 1, a full service would count
as light load."""

LIGHT_SPREAD = 0.2
"""The smallest standard deviation ÷ mean that is assumed for response times at light load. A few requests may take
nearly the same time by chance."""

LIGHT_ERROR = (0.05, 0.1, 0.25)
"""Limits of the relative standard error of the mean at light load. Above the first, the knee may be wrong by more than
10 %, and the text says by how much. Above the second, it often is (in one of three simulated runs): there is no number,
and the text states a range. Above the third, the true knee may be half as high, and there is no range either."""

# Advice.
IDLE_RATIO = 0.1
"""A run with less than a tenth of a request in flight per instance does not show what an instance can do."""

HEADROOM = 1.5
"""Multiple of the tested peak that the recommended instances can serve. The reserve is for uneven load on the instances
and for an instance that is being replaced."""

ASSUMED_VCPU, ASSUMED_GIB = cloud_run.CPU, cloud_run.MEMORY_MIB / 1024
"""Cloud Run's defaults, for a run whose limits are not recorded."""

CHARTED_ENDPOINTS = 12
"""Number of endpoints whose latency, throughput and failures the charts can show separately: those with the most
requests."""

HEATMAP_COLUMNS = 240
"""Number of columns of the latency heatmap: each is four to five pixels wide on a wide page."""

HEATMAP_ROWS = 40
"""Number of latency bands of the heatmap. The ratio between the ends of a band is the same for all."""
