"""A backup every night, old ones cleared away by a rule. Each morning it asks whether to go on."""

from bot.engine import Ask, Chatflow, Confirm, Do, End, Number, Pick, Say, Text, Wait, facts, orders


class NightlyBackup(Chatflow):
    title = "Back up every night"
    says = ("back up {deployment} every night", "nightly backup of {deployment}")
    risk = "destroys"  # it clears old backups away

    which = Ask(Pick("Which service?", options=facts.deployments()), as_="deployment", title="Service")
    volume = Ask(
        Text(
            "Which volume of it?",
            default="data",
            pattern=r"^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$",
            pattern_says="Small letters, digits, inner hyphens, 40 in all.",
        ),
        title="Volume",
    )
    hour = Ask(
        Text(
            "At what time?",
            default="03:00",
            pattern=r"^(?:[01][0-9]|2[0-3]):[0-5][0-9]$",
            pattern_says="Write it as 03:00.",
        ),
        title="Time",
    )
    daily = Ask(Number("How many days back?", default=7, minimum=1, maximum=90), title="Daily ones kept")
    sure = Ask(
        Confirm("Back up like this every night?", summary=["deployment", "volume", "hour", "daily"]),
        then={"yes": "night", "no": "nothing"},
    )
    night = Wait(until="{{ hour }}", says="The next backup is at {{ hour }}. You may close this page.")
    copying = Do(
        orders.BackUpVolume(deployment="{{ deployment.deployment }}", volume="{{ volume }}"),
        says="Backing up **{{ deployment.name }}**.",
        failed="missed",
    )
    clearing = Do(
        orders.PruneBackups(
            deployment="{{ deployment.deployment }}", volume="{{ volume }}", keep_daily="{{ daily }}"
        ),
        says="Clearing old backups away.",
        failed="missed",
    )
    kept = Say("Backed up **{{ deployment.name }}** in {{ copying.seconds | seconds }}.", then="again")
    missed = Say("Tonight's backup of **{{ deployment.name }}** was missed.")
    again = Ask(
        Pick("Tomorrow again?", options={"yes": "Yes, every night", "stop": "No, that was the last"}),
        then={"yes": "night", "stop": "ended"},
        deadline_s=12 * 3_600,  # nobody said stop by noon: it goes on
        late="night",
    )
    ended = End("No more backups of **{{ deployment.name }}**; those there are stay.")
    nothing = End("No backup was set up.", outcome="unchanged")
