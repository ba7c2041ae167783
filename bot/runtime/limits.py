"""Every limit of the runtime, each with its reason."""

ID_LENGTH = 200  # of an id that a caller chooses; UUIDs are 36
VALUE_BYTES = 512 * 1024  # of one answer, or of all given beforehand: a list has 100 rows
TYPED_LENGTH = 2_000  # of what a person typed to get here
OPEN_PER_PERSON = 500  # open sessions of one person; a script that forgets to end its own stops here
PAGE = 200  # sessions in one page
ENTRIES_AT_ONCE = 500  # entries in one reading

TRIES = 60  # of one event against commits of others: each try means that somebody else got on
COMMIT_FOR_S = 20.0  # a person waits so long for a store that comes back (a Valkey restarts in seconds)
PAUSE_FROM_S, PAUSE_TO_S = 0.05, 1.0  # between tries against a store that is away

LEASE_MS = 8_000  # how long an effect waits for a process that died with it
RENEW_S = 2.5  # a living process says so: three chances before the lease ends
CARRY_S = 60.0  # one carrying out: everything below has shorter limits of its own
AT_ONCE = {"send_order": 64, "ask_facts": 64, "call_hook": 8, "audit": 256, "notify": 32, "set_timer": 128}
AT_ONCE |= {  # sessions that speak to each other, and to those who are asked
    "begin_session": 16,
    "tell_parent": 32,
    "cancel_session": 32,
    "ask_approval": 32,
    "drop_approval": 32,
}
AT_ONCE |= {"await_target": 64, "release_targets": 64}
ROOM = 400  # leased at once by one process
IDLE_S = 30.0  # looks at the store at least so often
BACKOFF_FROM_MS, BACKOFF_TO_MS = 250, 30_000  # of an effect that the world keeps from being carried out
PARK_AFTER = 8  # tries of an effect that fails by our own fault: about half a minute
PARKED_MS = 600_000  # a parked effect is tried again so often: a new release may know better

RESEND_FROM_MS, RESEND_TO_MS = 15_000, 300_000  # an order that is with its node: asked about, not pushed
CLAIM_LOOK_MS = 2_000  # how often whoever waits for a target looks whether it is free
OVERDUE_MS = 60_000  # after an order's time: a node that began in time may still say how it ended
HOOK_CHECK_S = 2.0  # a person waits while a plugin looks at the answer

STEPS_TOLD = 64  # commits of this process that wait for one watcher; beyond, it reads them from the store
LOOK_S = 20.0  # a watcher reads at least so often, should a hint be lost
ORDERS_REMEMBERED = 10_000  # order -> session, for progress
