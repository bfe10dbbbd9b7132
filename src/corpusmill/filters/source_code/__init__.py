"""Source code: Codex, The Stack and StarCoder, LLaMA's and RedPajama's GitHub, licences."""
