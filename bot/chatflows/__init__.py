"""The chatflows that Hercules brings along."""

from bot.chatflows.deploy.flow import Deploy
from bot.chatflows.running.flow import Running
from bot.chatflows.running.remove import Remove

FLOWS = (Deploy, Running, Remove)
