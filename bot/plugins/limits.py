"""Every limit of plugins, each with its reason."""

FILE_BYTES = 256 * 1024  # of a plugin's file: a thousand states in the author's spelling
FLOWS_PER_FILE = 50  # what one file may add
FLOW_BYTES = 512 * 1024  # of a compiled flow: far above what a file of FILE_BYTES says
LOAD_S = 10.0  # to start a worker and import a file: a slow disk takes seconds, a loop never ends
START_S = 1.5  # a bot that starts waits for its plugins; the rest comes while it serves
LOADS_AT_ONCE = 4  # workers that import files at once
HOOK_S = 2.0  # a person waits for it
HOOK_QUEUE_S = 10.0  # waiting for the calls before, of one file
IDLE_S = 60.0  # a hook's worker nobody called for so long is ended
REPLY_BYTES = 1024 * 1024  # of a worker: FLOW_BYTES as JSON text, or a hook's value
CALL_BYTES = 1024 * 1024  # names of a session that a hook is given
MEMORY_BYTES = 256 * 1024**2  # of address space above what the worker has when it starts
CPU_S = 8  # for an import, and again for each call: the parent kills sooner, unless it is gone
OPEN_FILES = 32  # of a worker
POLL_S = 0.3  # how often the folders are looked at: a saved file is there within a second
SAID_BYTES = 2_000  # of what a plugin prints, kept for the log
YAML_DEPTH = 32  # lists and maps inside each other: a flow needs ten
YAML_NODES = 30_000  # words, lists and maps: what 256 KiB of a flow have, not what they could have
MESSAGE_BYTES = 32 * 1024  # of a file in a plugin's folder of messages
MESSAGES = 100  # files in it
POLL_MOST_S = 1.0  # the same, where so many files are there that looking takes long
PUBLISH_S = 0.25  # while many files are read: how often those that are ready come into use
TROUBLES_PER_FILE = 10  # mistakes of one file that are listed
