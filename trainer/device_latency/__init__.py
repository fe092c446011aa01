"""What a box can do: how long a network takes there, from figures measured operator by operator."""
