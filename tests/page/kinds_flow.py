"""A chatflow with every kind of prompt that `flows.EveryKind` does not ask for, each once."""

from bot.engine import (
    Ask,
    Chart,
    Chatflow,
    Code,
    Confirm,
    DateTime,
    Diff,
    Download,
    Duration,
    End,
    Form,
    Image,
    Location,
    Log,
    Number,
    Option,
    Pick,
    PickMany,
    QRCode,
    Secret,
    Table,
    Text,
    Upload,
    YesNo,
)

BEFORE = "port: 8080\nmemory: 256\nrestart: always\n"
AFTER = "port: 9090\nmemory: 256\nrestart: always\nlan: true\n"


class OtherKinds(Chatflow):
    """Every other kind of question, and everything that is only shown."""

    title = "Other kinds"
    risk = "reads"

    many = Ask(
        PickMany(
            "Which nodes shall be backed up?",
            help="The ones that hold data.",
            options=[
                Option("attic", "attic", description="2 volumes, 4 GiB"),
                Option("cellar", "cellar", description="1 volume, 120 MiB"),
                Option("shed", "shed", disabled="It is offline since Tuesday."),
                *(Option(f"spare-{n}", f"spare-{n}") for n in range(1, 7)),
            ],
            least=1,
            most=4,
        ),
        title="Nodes",
    )
    start = Ask(
        DateTime(
            "When shall it begin?", zone="Europe/Brussels", earliest="2026-01-01", default="2030-05-01 03:00"
        ),
        title="Begin",
    )
    day = Ask(DateTime("Until which day?", time=False), title="Until")
    lasts = Ask(Duration("How long may it take?", default="2h 30m", minimum_s=60), title="Limit")
    backup = Ask(
        Form(
            "How shall it be kept?",
            help="You can change this later.",
            fields={
                "name": Text("Name", default="nightly", max_length=20),
                "place": Pick("Where to?", options={"disk": "A disk here", "cloud": "Cloud storage"}),
                "key": Secret("Access key", min_length=8),
                "keep": Number("Keep", minimum=1, maximum=90, unit="days", default=7),
                "verify": YesNo("Try to restore it now and then?"),
                "every": Duration("How often?", default="7d", minimum_s=3600),
                "days": PickMany("On which days?", options={"sat": "Saturday", "sun": "Sunday"}),
                "note": Text("Note", lines=True, min_length=0),
            },
            only_when={"key": {"place": "cloud"}, "every": {"verify": True}},
        ),
        title="Keeping",
    )
    where = Ask(Location("Where does the machine stand?"), title="Place")
    table = Ask(
        Table(
            "This is what I found.",
            columns={"name": "Container", "state": "State", "memory": "Memory"},
            rows=[{"name": f"web-{n}", "state": "running", "memory": f"{n * 16} MiB"} for n in range(1, 6)],
        )
    )
    chart = Ask(
        Chart(
            "How busy it was this week.",
            series={"attic": [12, 30, 22, 80, 64, 20, 9], "cellar": [5, 4, 8, 12, 40, 42, 3]},
            at=["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
            unit="%",
        )
    )
    bars = Ask(
        Chart(
            "How full the disks are.",
            series={"used": [40, 75]},
            at=["attic", "cellar"],
            unit="GiB",
            style="bars",
        )
    )
    log = Ask(Log("Its last lines.", text=[f"12:00:{n:02} GET /page/{n} 200" for n in range(40)]))
    code = Ask(
        Code("Run this on the new machine.", text="curl -O https://x.test/join\nsh join", language="sh")
    )
    diff = Ask(Diff("This would change.", before=BEFORE, after=AFTER))
    text = Ask(Download("Take the settings with you.", text=AFTER, name="settings.yml"))
    qr = Ask(QRCode("Open it on your phone.", text="https://hercules.test/s/1"))
    picture = Ask(Upload("Which picture?"), title="Picture")
    image = Ask(Image("Is it this one?", blob="{{ picture }}", alt="The plan that was uploaded"))
    file = Ask(Download("The picture again.", blob="{{ picture }}"))
    sure = Ask(
        Confirm("Is that right?", summary=["many", "start", "day", "lasts", "backup", "where"]),
        then={"yes": "done", "no": "done"},
    )
    done = End("{{ backup.name }} begins {{ start }} and takes {{ lasts | seconds }}.")
